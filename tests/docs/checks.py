"""What the checks of this folder share: the project's files, and counting.

Each script takes the source root (and, where it runs the program, the build root), prints one line for each
check that failed, and closes with `N passed, N failed`.
"""
import os
import pathlib
import subprocess
import sys


class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, good, message):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f'FAILED: {message}')
        return good

    def close(self):
        print(f'{self.passed} passed, {self.failed} failed')
        sys.exit(1 if self.failed or not self.passed else 0)


def root():
    return pathlib.Path(sys.argv[1]).resolve()


def project_files(top):
    """Paths below `top` that belong to the project, relative: what git knows and does not ignore, or, without git, all."""
    try:
        listed = subprocess.run(['git', '-C', top, 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
                                check=True, capture_output=True).stdout.decode()
        names = {pathlib.PurePosixPath(name) for name in listed.split('\0') if name}
    except (OSError, subprocess.CalledProcessError):
        names = set()
        for folder, folders, files in os.walk(top):
            folders[:] = [f for f in folders if not f.startswith('build') and f not in ('.git', '__pycache__')]
            names |= {pathlib.PurePosixPath(folder, f).relative_to(top) for f in files}
    return sorted(name for name in names if (top / name).is_file())


def text_of(path):
    """The file's text; None for one that is not UTF-8."""
    try:
        return path.read_text(encoding='utf-8')
    except UnicodeDecodeError:
        return None


def run(command, **more):
    """The finished process, its two outputs in one text."""
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240, **more)
