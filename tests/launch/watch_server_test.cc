// What the watcher answers to whom, byte for byte over a socket.
#include "launch/watch/watch_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "tests/support/subprocess.h"

namespace cohort::watch_server_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using testing::TemporaryFolder;

class WatchServerTest : public ::testing::Test {
 protected:
  WatchServerTest() {
    folder_.Write("result.json", R"({"status": "done", "tasks": {"<b>x</b>": {"test": {"auc": 0.5}}}})");
    folder_.Write("metrics.jsonl", "{\"seconds\": 1, \"rows\": 40}\n");
  }
  ~WatchServerTest() override { Stop(); }
  void Start(const std::string& token) {
    auto server = WatchServer::Listen(std::move(*RunView::Open(folder_.path())), {"127.0.0.1", 0}, token);
    ASSERT_TRUE(server) << server.error().text();
    server_ = std::move(*server);
    thread_ = std::thread([this] { server_->Run([this] { return stop_.load(); }); });
  }
  void Stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  int port() const {
    const std::string url = server_->url();
    return std::stoi(url.substr(url.rfind(':') + 1));
  }
  int Connect() const {
    const int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port()));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    return connection;
  }
  static std::string ReadAll(int connection) {
    std::string answer;
    char bytes[4096];
    for (ssize_t got; (got = recv(connection, bytes, sizeof(bytes), 0)) > 0;)
      answer.append(bytes, static_cast<std::size_t>(got));
    close(connection);
    return answer;
  }
  std::string Ask(const std::string& request) const {
    const int connection = Connect();
    send(connection, request.data(), request.size(), MSG_NOSIGNAL);
    return ReadAll(connection);
  }
  std::string Get(const std::string& target, const std::string& headers = "",
                  const std::string& host = "127.0.0.1") const {
    return Ask("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + headers + "\r\n");
  }
  TemporaryFolder folder_;
  std::unique_ptr<WatchServer> server_;
  std::thread thread_;
  std::atomic<bool> stop_ = false;
};

TEST_F(WatchServerTest, NeedsTheTokenAndKnowsThreePaths) {
  Start("0123456789abcdef");
  EXPECT_THAT(server_->url(), ::testing::EndsWith("/?token=0123456789abcdef"));
  for (const char* path : {"/", "/state", "/metrics"}) {
    const std::string plain = path;
    EXPECT_THAT(Get(plain), StartsWith("HTTP/1.1 403 ")) << path;
    EXPECT_THAT(Get(plain), Not(HasSubstr("0123456789abcdef"))) << path;
    EXPECT_THAT(Get(plain + "?token=0123456789abcdeF"), StartsWith("HTTP/1.1 403 ")) << path;
    EXPECT_THAT(Get(plain + "?token="), StartsWith("HTTP/1.1 403 ")) << path;
    EXPECT_THAT(Get(plain, "Authorization: Bearer 0123456789abcde\r\n"), StartsWith("HTTP/1.1 403 ")) << path;
    EXPECT_THAT(Get(plain + "?token=0123456789abcdef"), StartsWith("HTTP/1.1 200 ")) << path;
    EXPECT_THAT(Get(plain, "Authorization: Bearer 0123456789abcdef\r\n"), StartsWith("HTTP/1.1 200 "))
        << path;
    // With a token it does not matter by which name.
    EXPECT_THAT(Get(plain + "?token=0123456789abcdef", "", "some.where"), StartsWith("HTTP/1.1 200 "))
        << path;
  }
  for (const char* path :
       {"/favicon.ico", "/state/", "//", "/../etc/passwd", "/%2e%2e/etc/passwd", "/state?x=/metrics&token=1"})
    EXPECT_THAT(Get(path),
                StartsWith(std::string(path).starts_with("/state?") ? "HTTP/1.1 403 " : "HTTP/1.1 404 "))
        << path;
  EXPECT_THAT(Ask("POST /state?token=0123456789abcdef HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"),
              StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(Ask("DELETE /nothing HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 404 "));
}

TEST_F(WatchServerTest, AnswersStateMetricsAndPage) {
  Start("t");
  const std::string answer = Get("/state?token=t");
  const auto state = nlohmann::json::parse(answer.substr(answer.find("\r\n\r\n") + 4), nullptr, false);
  EXPECT_EQ(state["rows"], 40);
  EXPECT_EQ(state["tasks"][0]["name"], "<b>x</b>");
  EXPECT_THAT(Get("/metrics?token=t"), HasSubstr("cohort_rows{"));
  EXPECT_THAT(Get("/metrics?token=t"), HasSubstr("Content-Type: text/plain; version=0.0.4"));
  const std::string page = Get("/?token=t");
  EXPECT_THAT(page, HasSubstr("Content-Security-Policy: default-src 'none'"));
  EXPECT_THAT(page, HasSubstr("Referrer-Policy: no-referrer"));
  for (const char* outside : {"http:", "https:", "<link rel=\"style", "src=", "@import", "url("})
    EXPECT_THAT(page.substr(page.find("\r\n\r\n")), Not(HasSubstr(outside)));
  // The word that lets its script run is another one every time.
  const auto nonce = [](const std::string& text) { return text.substr(text.find("'nonce-"), 40); };
  EXPECT_NE(nonce(page), nonce(Get("/?token=t")));
  EXPECT_THAT(Ask("HEAD /state?token=t HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(WatchServerTest, WithoutATokenAnswersOnlyThoseWhoKnowThisHostByItself) {
  Start("");
  for (const char* host : {"127.0.0.1", "127.0.0.1:80", "localhost:1", "[::1]:80"})
    EXPECT_THAT(Get("/state", "", host), StartsWith("HTTP/1.1 200 ")) << host;
  for (const char* host : {"evil.example", "127.0.0.1.evil.example:80", "", "[", "]:"})
    EXPECT_THAT(Get("/state", "", host), StartsWith("HTTP/1.1 403 ")) << host;
}

TEST_F(WatchServerTest, RequestsHaveBounds) {
  Start("t");
  // Larger than a request may be: no answer, or a refusal; and those after it are answered.
  EXPECT_THAT(Ask("GET /" + std::string(1 << 20, 'x')), Not(HasSubstr(" 200 ")));
  EXPECT_THAT(Ask("GET / HTTP/1.1\r\nX: " + std::string(1 << 20, 'x') + "\r\n\r\n"), Not(HasSubstr(" 200 ")));
  std::string many = "GET /?token=t HTTP/1.1\r\n";
  for (int i = 0; i < 5000; ++i) many += "X: y\r\n";
  EXPECT_THAT(Ask(many + "\r\n"), Not(HasSubstr(" 200 ")));
  for (const char* broken : {"\r\n\r\n", "GET\r\n\r\n", "\x16\x03\x01\x02", "GET / HTTP/9.9\r\n\r\n"})
    EXPECT_THAT(Ask(std::string(broken) + "\r\n"), Not(HasSubstr(" 200 ")));
  // A page asked for a thousand times over is sent once.
  std::string ranges = "Range: bytes=0-";
  for (int i = 0; i < 1000; ++i) ranges += ",0-";
  EXPECT_LT(Get("/?token=t", ranges + "\r\n").size(), std::size_t{200} << 10);
  // As many as there are threads, which never come to an end: they are sent away after five seconds.
  const auto begin = std::chrono::steady_clock::now();
  int slow[8];
  for (int& connection : slow) {
    connection = Connect();
    send(connection, "GET ", 4, MSG_NOSIGNAL);
  }
  EXPECT_THAT(Get("/state?token=t"), StartsWith("HTTP/1.1 200 "));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(25));
  for (const int connection : slow) EXPECT_THAT(ReadAll(connection), Not(HasSubstr(" 200 ")));
}

TEST_F(WatchServerTest, EndsWhenAskedTo) {
  Start("t");
  const auto begin = std::chrono::steady_clock::now();
  Stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(8));
}

TEST_F(WatchServerTest, SaysWhatIsWrongWithAnAddress) {
  Start("t");
  const auto open = [&] { return std::move(*RunView::Open(folder_.path())); };
  const auto taken = WatchServer::Listen(open(), {"127.0.0.1", static_cast<std::uint16_t>(port())}, "t");
  ASSERT_FALSE(taken);
  EXPECT_THAT(taken.error().text(), HasSubstr("another program listens there"));
  EXPECT_EQ(taken.error().exit_code(), 2);
  const auto elsewhere = WatchServer::Listen(open(), {"192.0.2.1", 0}, "t");
  ASSERT_FALSE(elsewhere);
  EXPECT_THAT(elsewhere.error().text(), HasSubstr("192.0.2.1:0 cannot be listened on"));
}

TEST(ListenAtTest, IsAnAddressAndAPort) {
  EXPECT_EQ(ParseListenAt("127.0.0.1:80")->port, 80);
  EXPECT_TRUE(ParseListenAt("127.0.0.1:80")->loopback());
  EXPECT_TRUE(ParseListenAt("[::1]:0")->loopback());
  EXPECT_EQ(ParseListenAt("[::1]:0")->host, "::1");
  EXPECT_TRUE(ParseListenAt("localhost:0")->loopback());
  EXPECT_FALSE(ParseListenAt("0.0.0.0:65535")->loopback());
  EXPECT_FALSE(ParseListenAt("127.evil.example:1")->loopback());
  for (const char* text : {"", "80", ":80", "a:", "a:b", "a:65536", "a:-1", "a:1x", "::1", "a:b:80"})
    EXPECT_FALSE(ParseListenAt(text)) << text;
}

TEST(TokenTest, Has128BitsAndIsNew) {
  const std::string token = *NewToken();
  EXPECT_EQ(token.size(), 32u);
  EXPECT_EQ(token.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_NE(token, *NewToken());
}

}  // namespace
}  // namespace cohort::watch_server_test
