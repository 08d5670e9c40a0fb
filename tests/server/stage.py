"""What the tests of `serveloop serve` share: a server over a tiny model in a folder of its own, and ways to talk to it."""
import contextlib
import functools
import http.client
import json
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import tiny_gguf
import wire

PATIENCE_S = 60  # for what takes well below a second; sanitizers are slow, and machines are shared
PROGRAM = SOURCE = BUILD = None

CONFIG = '''
[model]
path = "tiny.gguf"

[engine]
executor = "cpu"
threads = 1
lag = {lag}
token_budget = {token_budget}
max_sequences = {max_sequences}
max_waiting = {max_waiting}
kv_blocks = {kv_blocks}

[policy]
search = ["{plugins}"]
scheduler = "{scheduler}"

[server]
port = {port}

[admin]
socket = "admin.sock"

[simulated]
calibration = "{calibration}"

'''
DEFAULTS = {'lag': 1, 'token_budget': 256, 'max_sequences': 32, 'max_waiting': 256, 'kv_blocks': 4096, 'scheduler': 'fcfs',
            'port': 0}


def set_up(program, source, build):
    global PROGRAM, SOURCE, BUILD
    PROGRAM, SOURCE, BUILD = (pathlib.Path(path).resolve() for path in (program, source, build))


def environment(folder):
    given = {key: value for key, value in os.environ.items() if not key.startswith('SERVELOOP_')}
    # What AddressSanitizer keeps back of freed memory would look like a leak.
    return given | {'HOME': str(folder), 'ASAN_OPTIONS': given.get('ASAN_OPTIONS', '') + ':quarantine_size_mb=1'}


def write_config(folder, extra='', **changes):
    """tiny.gguf and serve.toml in `folder`; `changes` are DEFAULTS' names."""
    settings = DEFAULTS | changes
    text = CONFIG.format(plugins=BUILD / 'plugins', calibration=SOURCE / 'configs/calibrations/cpu-smollm2-135m.toml', **settings)
    tiny_gguf.write(folder / 'tiny.gguf')
    (folder / 'serve.toml').write_text(text + extra)


def until(condition, what, patience_s=PATIENCE_S):
    """Waits until condition() is true; its last value."""
    end = time.monotonic() + patience_s
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f'not within {patience_s} s: {what}')
        time.sleep(0.01)
    return value


class Server:
    """A running `serveloop serve`, ready for requests. `extra` is TOML behind the configuration's tables; `files` are the soft
    and the hard limit of its open files."""

    def __init__(self, extra='', arguments=(), prepare=None, files=None, **changes):
        self._temporary = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self._temporary.name)
        write_config(self.folder, extra, **changes)
        if prepare:
            prepare(self.folder)
        self.key = None
        self._errors = open(self.folder / 'stderr', 'w+')
        limit = functools.partial(resource.setrlimit, resource.RLIMIT_NOFILE, files) if files else None
        self.process = subprocess.Popen([PROGRAM, 'serve', '--config', 'serve.toml', *arguments], cwd=self.folder,
                                        env=environment(self.folder), stdout=subprocess.PIPE, stderr=self._errors, text=True,
                                        start_new_session=True, preexec_fn=limit)
        try:
            self._begin()
        except BaseException:
            self.kill()
            raise

    def _begin(self):
        self.said = []
        for line in self.process.stdout:
            self.said.append(line)
            if line.startswith('try: '):
                break
        found = re.search(r'serving (\S+) on http://[\d.]+:(\d+)\n', ''.join(self.said))
        assert found, f'no address in {self.said}; {self.errors()}'
        self.model, self.port = found[1], int(found[2])
        assert self.get('/health').status == 200

    def errors(self):
        return (self.folder / 'stderr').read_text()

    def kill(self):
        """Without a check. What is over is over."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self._errors.close()
        self._temporary.cleanup()

    @property
    def url(self):
        return f'http://127.0.0.1:{self.port}'

    @property
    def admin_socket(self):
        return self.folder / 'admin.sock'

    def stop(self, how=signal.SIGTERM):
        """Ends it, or waits for its end if `how` is None; checks its exit code, and that neither a process, a listener nor a
        socket's file is left."""
        try:
            if how is not None and self.process.poll() is None:
                self.process.send_signal(how)
            code = self.process.wait(PATIENCE_S)
            assert code == 0, f'exit code {code}; {self.errors()}'
            assert not self.admin_socket.exists(), 'admin.sock was left'
            with contextlib.suppress(ConnectionRefusedError):
                self.socket().close()
                raise AssertionError('somebody still listens')
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, 0)
                raise AssertionError('a process was left')
            for sign in ('Sanitizer', 'runtime error', 'assert'):
                assert sign not in self.errors(), self.errors()
        finally:
            self.kill()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.stop() if kind is None else self.kill()

    # ---- Talking to it.

    def connect(self, timeout=PATIENCE_S):
        return http.client.HTTPConnection('127.0.0.1', self.port, timeout=timeout)

    def socket(self, timeout=PATIENCE_S):
        return socket.create_connection(('127.0.0.1', self.port), timeout)

    def _headers(self, given):
        own = {'Content-Type': 'application/json'}
        if self.key:
            own['Authorization'] = f'Bearer {self.key}'
        return own | (given or {})

    def request(self, method, path, body=None, headers=None):
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, body, self._headers(headers))
            return wire.Answer(connection.getresponse())

    def get(self, path, headers=None):
        return self.request('GET', path, headers=headers)

    def post(self, path, body, headers=None):
        """`body` as JSON, or as it is where it is bytes."""
        return self.request('POST', path, body if isinstance(body, bytes) else json.dumps(body), headers)

    def complete(self, prompt, **parameters):
        """The whole answer of /v1/completions."""
        answer = self.post('/v1/completions', {'prompt': prompt, **parameters})
        assert answer.status == 200, answer.body
        return answer.json()

    def text(self, prompt, **parameters):
        return self.complete(prompt, **parameters)['choices'][0]['text']

    def chat(self, content, **parameters):
        answer = self.post('/v1/chat/completions', {'messages': [{'role': 'user', 'content': content}], **parameters})
        assert answer.status == 200, answer.body
        return answer.json()

    @contextlib.contextmanager
    def stream(self, path, **body):
        """The events of a stream, while it runs; leaving early closes the connection."""
        with contextlib.closing(self.connect()) as connection:
            connection.request('POST', path, json.dumps({'stream': True, **body}), self._headers(None))
            response = connection.getresponse()
            assert response.status == 200, response.read()
            assert response.headers['Content-Type'].startswith('text/event-stream'), response.headers
            yield wire.events(response)

    def streamed(self, prompt, **parameters):
        """All events of a completion."""
        with self.stream('/v1/completions', prompt=prompt, **parameters) as events:
            return list(events)

    def metrics(self):
        return wire.Metrics(self.get('/metrics').body.decode())

    def sequences(self, state):
        return self.metrics().get('serveloop_sequences', state=state)

    def until_idle(self, patience_s=PATIENCE_S):
        until(lambda: self.sequences('running') == 0 == self.sequences('waiting'), 'idle', patience_s)

    def admin(self, method, path, body=None):
        """Over the admin socket."""
        connection = http.client.HTTPConnection('localhost', timeout=PATIENCE_S)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(PATIENCE_S)
        connection.sock.connect(str(self.admin_socket))
        with contextlib.closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body))
            return wire.Answer(connection.getresponse())


class Case(unittest.TestCase):
    """Tests over one server that all of them share; each begins and ends with an idle one."""
    maxDiff = 2000
    server = None

    @classmethod
    def setUpClass(cls):
        if Case.server is None:
            Case.server = Server()
        cls.server = Case.server

    def tearDown(self):
        self.server.until_idle()


def text_of(events, choice=0):
    """A completion's or a chat's text from its events."""
    parts = [one for event in events for one in event['choices'] if one['index'] == choice]
    return ''.join(one['text'] if 'text' in one else one['delta'].get('content', '') for one in parts)


def raw(method, path, body=b'', *headers, version='1.1', host=True):
    """A request's bytes."""
    lines = [f'{method} {path} HTTP/{version}', *(['Host: localhost'] if host else []), *headers]
    if body:
        lines += ['Content-Type: application/json', f'Content-Length: {len(body)}']
    return '\r\n'.join(lines).encode() + b'\r\n\r\n' + body


def run(*modules):
    """Runs the tests of these modules and ends the process as tests/count_results.py expects."""
    suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromModule(module) for module in modules)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    failed = len({getattr(test, 'test_case', test).id() for test, _ in result.failures + result.errors})  # subtests are one
    ran = result.testsRun
    if Case.server is not None:
        ran += 1
        try:
            Case.server.stop()
        except AssertionError as error:
            print(f'the shared server: {error}')
            failed += 1
    print(f'{max(0, ran - failed)} passed, {failed} failed')
    sys.exit(0 if failed == 0 else 1)
