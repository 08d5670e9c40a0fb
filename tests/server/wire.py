"""What comes over the wire, read strictly: answers of HTTP, server-sent events, Prometheus' text format."""
import http.client
import json
import re


class Answer:
    """A whole answer, its body as bytes."""

    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        """The object `error` of OpenAI's shape; fails where there is another shape."""
        whole = self.json()
        assert set(whole) == {'error'}, whole
        assert set(whole['error']) == {'message', 'type', 'param', 'code'}, whole
        assert whole['error']['message'] and isinstance(whole['error']['message'], str), whole
        return whole['error']


class FromSocket(http.client.HTTPResponse):
    """One answer read from a socket's file, so that several can be read from one connection."""

    def __init__(self, file, method='GET'):
        super().__init__(_Borrowed(file), method=method)
        self.begin()

    def _close_conn(self):  # the file is not ours to close
        self.fp = None


class _Borrowed:
    def __init__(self, file):
        self.file = file

    def makefile(self, _mode):
        return self.file


def read_answer(file, method='GET'):
    return Answer(FromSocket(file, method))


def events(lines):
    """The JSON of each event of a stream, as its bytes come. Ends with [DONE]; anything else out of form is an error."""
    done = False
    while line := lines.readline():
        assert not done, f'more after [DONE]: {line}'
        assert line.startswith(b'data: ') and line.endswith(b'\n'), line
        empty = lines.readline()
        assert empty == b'\n', f'an event ends with an empty line, found {empty}'
        if line == b'data: [DONE]\n':
            done = True
        else:
            yield json.loads(line[6:])
    assert done, 'the stream ended without [DONE]'


SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ([-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|Inf|NaN))')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
SUFFIXES = {'histogram': ('_bucket', '_sum', '_count'), 'counter': ('',), 'gauge': ('',)}


def labels_of(text):
    found, at = {}, 0
    while at < len(text):
        one = LABEL.match(text, at)
        assert one, f'no label: {text[at:]}'
        assert one[1] not in found, f'label twice: {text}'
        found[one[1]], at = one[2], one.end()
    return found


class Metrics:
    """Samples by name and labels. Each family has HELP and TYPE before its samples, stands there once and holds no sample twice."""

    def __init__(self, text):
        self.types, self.samples, family = {}, {}, None
        assert text.endswith('\n')
        for line in text.splitlines():
            if line.startswith('# HELP '):
                family = line.split(' ', 3)[2]
                assert family not in self.types, f'{family} twice'
            elif line.startswith('# TYPE '):
                _, _, name, kind = line.split(' ')
                assert name == family and kind in SUFFIXES, line
                self.types[name] = kind
            else:
                self._add(line, family)
        for name, kind in self.types.items():
            if kind == 'histogram':
                self._check_histogram(name)

    def _add(self, line, family):
        sample = SAMPLE.fullmatch(line)
        assert sample, f'no sample: {line}'
        assert sample[1] in {family + suffix for suffix in SUFFIXES[self.types[family]]}, f'{line} within {family}'
        key = (sample[1], frozenset(labels_of(sample[2] or '').items()))
        assert key not in self.samples, f'twice: {line}'
        self.samples[key] = float(sample[3].replace('Inf', 'inf'))

    def _check_histogram(self, name):
        series = {}
        for (sample, labels), number in self.samples.items():
            if sample == name + '_bucket':
                labels = dict(labels)
                bound = float(labels.pop('le').replace('Inf', 'inf'))
                series.setdefault(frozenset(labels.items()), []).append((bound, number))
        for labels, buckets in series.items():
            counts = [count for _, count in sorted(buckets)]
            assert counts == sorted(counts), f'{name}: buckets are not cumulative'
            assert max(buckets)[0] == float('inf'), f'{name}: no +Inf'
            assert counts[-1] == self.samples[name + '_count', labels], f'{name}: +Inf is not the count'

    def get(self, name, **labels):
        """The sample's number; 0 where there is none."""
        assert name in self.types or any(name.startswith(family) for family in self.types), f'no metric {name}'
        return self.samples.get((name, frozenset(labels.items())), 0)

    def sum(self, name, **labels):
        """Of all its samples that have these labels."""
        return sum(number for (sample, found), number in self.samples.items() if sample == name and labels.items() <= dict(found).items())
