// How many tokens a second the server tells 64 clients, each with a stream of its own, when the engine costs nothing:
// bench_server [streams] [tokens]. Server, engine and clients share the machine; so this is a lower bound.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "client.hpp"
#include "fake.hpp"
#include "helpers.hpp"
#include "server/server.hpp"

using namespace serveloop::server;
using namespace serveloop::server::test;

namespace {

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

int main(int argc, char** argv) {
  const int streams = argc > 1 ? std::atoi(argv[1]) : 64;
  const int tokens = argc > 2 ? std::atoi(argv[2]) : 4000;
  FakeEngine engine(&byte_text());
  engine.info_.longest_request = 1 << 30;
  ServerOptions options;
  options.server.port = 0;
  auto server = Server::start(options, engine);
  if (!server) return std::fprintf(stderr, "%s\n", server.error().message().c_str()), 1;
  std::vector<Client> clients;
  for (int i = 0; i < streams; ++i) clients.emplace_back((*server)->url());
  const auto start = std::chrono::steady_clock::now();
  const double cpu = cpu_seconds();
  for (Client& client : clients)
    client.post("/v1/chat/completions",
                "{\"messages\":[{\"role\":\"user\",\"content\":\"Some words to say "
                "again.\"}],\"stream\":true,\"max_tokens\":" +
                    std::to_string(tokens) + "}");
  std::size_t bytes = 0;
  for (Client& client : clients) bytes += client.receive_until("[DONE]").size();
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double all = static_cast<double>(streams) * tokens;
  std::printf(
      "%d streams of %d tokens: %.0f tokens/s, %.2f us of processor time a token (client and engine in it), "
      "%.0f bytes a token\n",
      streams, tokens, all / wall, (cpu_seconds() - cpu) / all * 1e6, static_cast<double>(bytes) / all);
  return 0;
}
