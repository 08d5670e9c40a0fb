// One client's connection, TCP or local: requests one after the other, each answered whole or as a stream. HTTP/1.1 with
// keep-alive; HTTP/1.0 is answered and closed.
//
// A client that goes away cancels what runs for it at once: while an answer is in the making, the socket is read, so
// that its end is seen though nothing is being written. A client that shuts down its sending side alone looks the same
// to a TCP socket, and counts as gone once its answer takes an engine; short answers still reach it.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <memory>

#include "server/hub.hpp"

namespace serveloop::server {

// The connection lives until it closes. The hub outlives it. [I/O thread]
void start_connection(boost::asio::generic::stream_protocol::socket socket, Hub& hub);
// Closes connections that wait for a request; the others close with their answer. [I/O thread]
void close_idle(Hub& hub);
void close_all(Hub& hub);

}  // namespace serveloop::server
