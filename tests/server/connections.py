"""The wire: keep-alive, pipelining, HTTP/1.0, odd and hostile clients, slow ones; nobody else is harmed."""
import io
import json
import socket
import time

import stage
from stage import raw
from wire import read_answer

SHORT = json.dumps({'prompt': 'ab', 'max_tokens': 3, 'seed': 1, 'ignore_eos': True}).encode()
LONG = {'temperature': 1, 'ignore_eos': True, 'seed': 3}


class Connections(stage.Case):
    def open(self, *options):
        """A socket and its file for reading."""
        connection = socket.socket()
        self.addCleanup(connection.close)
        connection.settimeout(stage.PATIENCE_S)
        for name, value in options:
            connection.setsockopt(socket.SOL_SOCKET, name, value)
        connection.connect(('127.0.0.1', self.server.port))
        file = connection.makefile('rb')
        self.addCleanup(file.close)
        return connection, file

    def test_keep_alive(self):
        connection, file = self.open()
        for _ in range(3):
            for request, method in ((raw('GET', '/health'), 'GET'), (raw('POST', '/v1/completions', SHORT), 'POST'),
                                    (raw('GET', '/nowhere'), 'GET'), (raw('HEAD', '/health'), 'HEAD')):
                connection.sendall(request)
                answer = read_answer(file, method)
                self.assertEqual(answer.headers['Connection'], 'keep-alive')
        stream = json.dumps(json.loads(SHORT) | {'stream': True}).encode()
        for _ in range(2):  # a stream's end is told by its last chunk, not by the connection's
            connection.sendall(raw('POST', '/v1/completions', stream))
            self.assertTrue(read_answer(file).body.endswith(b'data: [DONE]\n\n'))

    def test_the_client_may_close(self):
        connection, file = self.open()
        connection.sendall(raw('GET', '/health', b'', 'Connection: close'))
        self.assertEqual(read_answer(file).headers['Connection'], 'close')
        self.assertEqual(file.read(), b'')

    def test_pipelining(self):
        connection, file = self.open()
        connection.sendall(raw('POST', '/v1/completions', SHORT) + raw('GET', '/version') + raw('GET', '/nowhere') +
                           raw('POST', '/v1/completions', SHORT) + raw('HEAD', '/health') + raw('GET', '/health'))
        first, version, nowhere, second = (read_answer(file) for _ in range(4))
        self.assertEqual(first.json()['choices'][0]['text'], second.json()['choices'][0]['text'])
        self.assertIn('version', version.json())
        self.assertEqual(nowhere.status, 404)
        self.assertEqual(read_answer(file, 'HEAD').body, b'')
        self.assertEqual(read_answer(file).json(), {'status': 'ok'})

    def test_http_1_0(self):
        for stream in (False, True):
            connection, file = self.open()
            connection.sendall(raw('POST', '/v1/completions', json.dumps(json.loads(SHORT) | {'stream': stream}).encode(),
                                   version='1.0', host=False))
            answer = read_answer(file)
            self.assertEqual(answer.status, 200)
            self.assertIsNone(answer.headers['Transfer-Encoding'])
            self.assertEqual(answer.body.endswith(b'data: [DONE]\n\n'), stream)
            self.assertEqual(file.read(), b'')

    def test_a_body_in_chunks(self):
        connection, file = self.open()
        chunks = b''.join(b'%x\r\n%s\r\n' % (len(part), part) for part in (SHORT[:5], SHORT[5:6], SHORT[6:])) + b'0\r\n\r\n'
        connection.sendall(raw('POST', '/v1/completions', b'', 'Content-Type: application/json', 'Transfer-Encoding: chunked') + chunks)
        self.assertEqual(read_answer(file).json()['choices'][0]['text'], self.server.text('ab', **{**LONG, 'max_tokens': 3, 'seed': 1}))

    def test_100_continue(self):
        connection, file = self.open()
        head, body = raw('POST', '/v1/completions', SHORT, 'Expect: 100-continue').split(b'\r\n\r\n')
        connection.sendall(head + b'\r\n\r\n')
        self.assertEqual((file.readline(), file.readline()), (b'HTTP/1.1 100 Continue\r\n', b'\r\n'))
        connection.sendall(body)
        self.assertEqual(read_answer(file).status, 200)

    def test_no_http(self):
        for junk in (b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + b'\x00' * 100, b'hello\r\n\r\n', b'GET\r\n\r\n',
                     b'GET /health HTTP/9.9\r\n\r\n', b'GET health HTTP/1.1\r\nHost: localhost\r\n\r\n', b'GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n',
                     b'POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n',
                     b'POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}   {}   ',
                     b'POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
                     b'POST /tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n'):
            connection, file = self.open()
            connection.sendall(junk)
            with self.subTest(junk=junk[:60]):
                answer = read_answer(file)
                self.assertEqual(answer.status, 400)
                self.assertTrue(answer.error['message'])
                self.assertEqual(file.read(), b'', 'an answer to what cannot be read is the last one')

    def test_another_transfer_coding(self):
        """Where its body ends is not known: what follows is no request."""
        for head in (['Transfer-Encoding: gzip'], ['Transfer-Encoding: chunked, identity'], ['Transfer-Encoding: gzip, chunked'],
                     ['Transfer-Encoding: gzip', 'Transfer-Encoding: chunked']):
            connection, file = self.open()
            connection.sendall(raw('POST', '/tokenize', b'', 'Content-Type: application/json', *head) + raw('GET', '/health'))
            with self.subTest(head=head):
                answer = read_answer(file)
                self.assertEqual((answer.status, answer.headers['Connection']), (501, 'close'))
                self.assertIn('Transfer-Encoding', answer.error['message'])
                self.assertEqual(file.read(), b'')

    def test_another_host(self):
        """What a web page under a name of its own sends, once the name points here."""
        for host, status in (('evil.example', 403), (f'evil.example:{self.server.port}', 403), ('localhost.evil.example', 403),
                             ('localhost:1', 200), ('[::1]', 200), ('127.0.0.1', 200), ('api.localhost', 200)):
            connection, file = self.open()
            connection.sendall(raw('GET', '/v1/models', b'', f'Host: {host}', host=False))
            with self.subTest(host=host):
                answer = read_answer(file)
                self.assertEqual(answer.status, status)
                self.assertTrue(status == 200 or answer.error['code'] == 'forbidden_host')
        for hosts in ([], ['Host: localhost', 'Host: localhost']):
            connection, file = self.open()
            connection.sendall(raw('GET', '/health', b'', *hosts, host=False))
            self.assertEqual(read_answer(file).status, 400, hosts)

    def test_a_large_header(self):
        connection, file = self.open()
        connection.sendall(raw('GET', '/health', b'', 'X-Large: ' + 'x' * 70_000))
        self.assertEqual(read_answer(file).status, 431)

    def test_a_slow_sender(self):
        connection, file = self.open()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in raw('POST', '/v1/completions', SHORT):
            connection.sendall(bytes([byte]))
            time.sleep(0.001)
        self.assertEqual(read_answer(file).status, 200)

    def test_half_open_clients_harm_nobody(self):
        begun = raw('POST', '/v1/completions', SHORT)
        for part in (b'', begun[:20], begun[:-5]):
            for _ in range(20):
                connection, _ = self.open()
                connection.sendall(part)
        start = time.monotonic()
        self.assertEqual(self.server.complete('ab', max_tokens=3)['choices'][0]['finish_reason'], 'length')
        self.assertLess(time.monotonic() - start, 10)

    def test_a_client_that_sends_no_more(self):
        """What is short still reaches it; a completion counts as left alone."""
        connection, file = self.open()
        connection.sendall(raw('GET', '/version'))
        connection.shutdown(socket.SHUT_WR)
        self.assertEqual(read_answer(file).status, 200)
        before = self.server.metrics().get('serveloop_sequences_finished_total', reason='cancelled')
        connection, file = self.open()
        connection.sendall(raw('POST', '/v1/completions', json.dumps({'prompt': 'a', 'max_tokens': 30_000, **LONG}).encode()))
        stage.until(lambda: self.server.sequences('running') == 1, 'it runs')
        connection.shutdown(socket.SHUT_WR)
        stage.until(lambda: self.server.sequences('running') == 0, 'it is cancelled', 10)
        self.assertEqual(self.server.metrics().get('serveloop_sequences_finished_total', reason='cancelled'), before + 1)

    def test_a_slow_reader_harms_nobody_and_misses_nothing(self):
        whole = self.server.text('slow', max_tokens=4000, **LONG)
        connection, file = self.open((socket.SO_RCVBUF, 4096))
        body = json.dumps({'prompt': 'slow', 'max_tokens': 4000, 'stream': True, **LONG}).encode()
        connection.sendall(raw('POST', '/v1/completions', body))
        stage.until(lambda: self.server.sequences('running') == 1, 'it runs')
        start = time.monotonic()
        self.server.complete('quick', max_tokens=5, **LONG)
        self.assertLess(time.monotonic() - start, 10)
        self.server.until_idle()  # the engine waits for no reader
        answer = read_answer(file)
        events = list(stage.wire.events(io.BytesIO(answer.body)))
        self.assertEqual(stage.text_of(events), whole)

    def test_many_connections_at_once(self):
        files = []
        for _ in range(200):
            connection, file = self.open()
            connection.sendall(raw('GET', '/health'))
            files.append(file)
        self.assertEqual({read_answer(file).status for file in files}, {200})
