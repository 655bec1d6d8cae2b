// WatchServer: the page of a run, its state as JSON, and its metrics for Prometheus, over HTTP.
//
//   GET /         the page (watch_page.h)
//   GET /state    RunState as JSON (state_json.h)
//   GET /metrics  Prometheus text (prometheus.h)
//
// Each needs the token, as `?token=…` or as `Authorization: Bearer …`: 403 without. Anything else is 404, other methods than GET
// and HEAD 405. A request is at most 16 KB and must be there within 5 s; its answer must be taken within 30 s; then the
// connection is closed. The folder is read when somebody asks, twice a second at the most.
#ifndef COHORT_LAUNCH_WATCH_WATCH_SERVER_H_
#define COHORT_LAUNCH_WATCH_WATCH_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/status.h"
#include "launch/watch/run_view.h"

namespace cohort {

// "127.0.0.1:8080", "[::1]:0", "localhost:0"; port 0: any free one.
struct ListenAt {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;
  // Only processes of this host can come in.
  bool loopback() const;
};
// kInvalidInput: not of that form.
Result<ListenAt> ParseListenAt(const std::string& text);

// 128 random bits as 32 hexadecimal digits, from the system.
Result<std::string> NewToken();

class WatchServer {
 public:
  // Listens, but answers nobody yet. `token`: empty for none; then, against pages of other sites that a browser here shows, requests
  // must name this host by its address, its name, or "localhost". kInvalidInput: the port is in use, or the address is not of this
  // host.
  static Result<std::unique_ptr<WatchServer>> Listen(RunView view, const ListenAt& at,
                                                     const std::string& token);
  ~WatchServer();
  WatchServer(const WatchServer&) = delete;
  WatchServer& operator=(const WatchServer&) = delete;

  // What to open in a browser, token included.
  std::string url() const;
  // Answers, on threads of its own, until `stop` says so; it is asked ten times a second. Once.
  void Run(const std::function<bool()>& stop);

 private:
  class Http;
  explicit WatchServer(std::unique_ptr<Http> http);
  std::unique_ptr<Http> http_;
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_WATCH_WATCH_SERVER_H_
