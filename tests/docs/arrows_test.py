#!/usr/bin/env python3
"""The arrows between modules, held against every #include line.

usage: arrows_test.py SOURCE_ROOT

USES is the whole truth: a module may include its own headers, those of the modules named here, and the libraries of
LIBRARIES. A module that is missing from the table is an error, so a new one has to state its arrows first.
"""
import re

from checks import Checks, project_files, root, text_of

# a module -> modules of core whose headers it may include. Arrows point downwards: whatever stands on the right stands
# further up in this table.
USES = {
    'base': [],
    'config': ['base'],
    'requests': ['base'],
    'kv': ['base'],
    'model': ['base'],
    'text': ['base'],
    'policy': ['base'],
    'observe': ['base'],
    'execute': ['base', 'model'],
    'engine': ['base', 'requests', 'kv', 'model', 'text', 'policy', 'observe', 'execute'],
    'rig': ['base', 'config', 'requests', 'kv', 'model', 'policy', 'observe', 'execute', 'engine'],
    'experiment': ['base', 'config', 'requests', 'kv', 'policy', 'observe', 'engine', 'execute', 'rig'],
    'service': ['base', 'config', 'requests', 'kv', 'model', 'text', 'policy', 'observe', 'engine', 'rig'],
    'server': ['base', 'config', 'requests', 'text', 'policy', 'observe', 'engine', 'rig', 'service'],
    'cli': ['base', 'config', 'text', 'engine', 'rig', 'experiment', 'service', 'server'],
}

# Modules that read the SDK's C headers (<serveloop/*.h>): rows are read in place. '*' = all of them.
SDK = {
    'base': ['base.h'],
    'requests': '*', 'kv': '*', 'model': '*', 'policy': '*', 'execute': '*', 'engine': '*', 'experiment': '*',
    'rig': '*', 'service': '*', 'server': '*',
}

# Modules that may use kernels/.
KERNELS = ['execute']

# Third-party headers, by prefix -> where they may be included: modules, or single files where a header is heavy or its
# library should be easy to replace.
LIBRARIES = {
    'fmt/': ['base', 'config', 'requests', 'kv', 'model', 'text', 'policy', 'observe', 'execute', 'engine', 'rig', 'experiment',
             'service', 'server', 'cli'],
    'tl/expected.hpp': ['core/base/result.hpp'],
    'toml++/': ['core/base/toml.cpp', 'core/base/toml_value.cpp'],
    'xxhash.h': ['core/kv/hash.cpp'],
    'pcre2.h': ['core/text/pieces.cpp'],
    'sodium': ['core/policy/object_file.cpp', 'core/requests/labels.cpp', 'core/server/auth.cpp'],
    'boost/dll/': ['core/policy/library.cpp'],
    'spdlog/': ['engine', 'service', 'server', 'cli'],
    'nlohmann/': ['core/experiment/ab/json.cpp', 'core/experiment/ab/result.cpp', 'core/experiment/kernel_table.cpp', 'core/experiment/table.cpp',
                  'core/experiment/traces.cpp', 'core/experiment/workload_file.cpp', 'core/model/config_json.cpp', 'core/server/json.cpp'],
    'boost/beast/': ['core/server/request_reader.cpp'],
    'boost/asio/': ['core/server/connection.cpp', 'core/server/connection.hpp', 'core/server/hub.cpp', 'core/server/hub.hpp',
                    'core/server/listener.cpp', 'core/server/listener.hpp', 'core/server/request_reader.cpp',
                    'core/server/request_reader.hpp', 'core/server/server.cpp', 'core/server/turn.cpp'],
    'boost/program_options/': ['cli'],
}

# What a system header looks like: no library above, no folder but the system's.
SYSTEM = re.compile(r'[a-z0-9_]+(\.h)?|(sys|linux|arpa|netinet)/[a-z0-9_]+\.h')
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
SOURCES = ('.h', '.hpp', '.c', '.cpp', '.cu', '.cuh')

top = root()
checks = Checks()


def includes(path):
    """(quoted, angled) of every #include line; one of the two is ''."""
    return INCLUDE.findall(text_of(top / path) or '')


def library_of(header):
    return next((prefix for prefix in LIBRARIES if header.startswith(prefix)), None)


def check_core(path):
    module = path.parts[1]
    if not checks.check(module in USES, f'{path}: module core/{module} states no arrows in arrows_test.py'):
        return
    for quoted, angled in includes(path):
        wrong = f'{path}: core/{module} may not include {quoted or angled}'
        target = quoted.split('/')[0]
        if quoted and target == 'kernels':
            checks.check(module in KERNELS, wrong)
        elif quoted:
            checks.check('/' in quoted and (target == module or target in USES[module]), wrong)
        elif angled.startswith('serveloop/'):
            allowed = SDK.get(module, [])
            name = angled.removeprefix('serveloop/')
            checks.check(not name.startswith('cpp/') and (allowed == '*' or name in allowed), wrong)
        elif library := library_of(angled):
            places = LIBRARIES[library]
            checks.check(module in places or str(path) in places, wrong)
        else:
            checks.check(SYSTEM.fullmatch(angled), wrong + ' (a library that arrows_test.py does not list)')


def check_plugin(path):
    """Shipped plugins stand on the SDK alone, as a stranger's would."""
    for quoted, angled in includes(path):
        local = quoted and '/' not in quoted and (top / path).with_name(quoted).is_file()
        checks.check(local or angled.startswith('serveloop/') or SYSTEM.fullmatch(angled),
                     f'{path}: a plugin may not include {quoted or angled}')


def check_sdk(path):
    """C headers need the C library alone; the C++ layer, in cpp/, the standard library too."""
    c_only = path.suffix in ('.h', '.c')
    for quoted, angled in includes(path):
        good = not quoted and (angled.startswith('serveloop/') or SYSTEM.fullmatch(angled))
        if c_only:
            good = good and angled.endswith('.h') and not angled.startswith('serveloop/cpp/')
        checks.check(good, f'{path}: the SDK may not include {quoted or angled}')


def check_kernels(path):
    for quoted, angled in includes(path):
        own = quoted and (quoted.startswith('kernels/') or (top / path).parent.joinpath(quoted).is_file())
        device = re.match(r'cuda|cublas|cutlass/|cute/|flashinfer/|immintrin\.h', angled or '')
        checks.check(own or device or SYSTEM.fullmatch(angled), f'{path}: kernels may not include {quoted or angled}')


for number, module in enumerate(USES):  # the table itself: arrows point one way
    above = list(USES)[:number]
    checks.check(set(USES[module]) <= set(above), f'arrows_test.py: {module} uses what does not stand above it')

KINDS = {'core': check_core, 'plugins': check_plugin, 'sdk': check_sdk, 'kernels': check_kernels}
for file in project_files(top):
    if file.suffix in SOURCES and file.parts[0] in KINDS:
        KINDS[file.parts[0]](file)
checks.close()
