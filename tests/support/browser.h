// A headless Chromium, driven through its DevTools protocol over two pipes: opens pages, presses keys, asks pages questions.
#ifndef COHORT_TESTS_SUPPORT_BROWSER_H_
#define COHORT_TESTS_SUPPORT_BROWSER_H_

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/slowdown.h"
#include "tests/support/subprocess.h"

namespace cohort::testing {

// One page. What goes wrong with the browser itself is a std::runtime_error, which fails the test.
class Browser {
 public:
  static constexpr const char* kProgram = "/usr/bin/chromium";
  static bool Installed() { return std::filesystem::exists(kProgram); }

  Browser() {
    int commands[2], answers[2];
    if (pipe2(commands, O_CLOEXEC) != 0 || pipe2(answers, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    pid_ = fork();
    if (pid_ == 0) {
      setpgid(0, 0);
      // Commands come on descriptor 3, answers go to 4.
      const int in = fcntl(commands[0], F_DUPFD, 10), out = fcntl(answers[1], F_DUPFD, 10);
      const int null = open("/dev/null", O_RDWR);
      for (int fd = 0; fd < 3; ++fd) dup2(null, fd);
      dup2(in, 3);
      dup2(out, 4);
      close(in), close(out);
      setenv("HOME", folder_.path().c_str(), 1);
      const std::string profile = "--user-data-dir=" + folder_ / "profile";
      execl(kProgram, kProgram, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--remote-debugging-pipe", "--hide-scrollbars", profile.c_str(), nullptr);
      _exit(127);
    }
    setpgid(pid_, pid_);
    close(commands[0]), close(answers[1]);
    to_ = commands[1], from_ = answers[0];
    const std::string target = Call("Target.createTarget", {{"url", "about:blank"}})["targetId"];
    session_ = Call("Target.attachToTarget", {{"targetId", target}, {"flatten", true}})["sessionId"];
    for (const char* domain : {"Page.enable", "Network.enable", "Runtime.enable", "Log.enable"}) Call(domain);
  }
  ~Browser() {
    close(to_), close(from_);
    kill(-pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Browser(const Browser&) = delete;
  Browser& operator=(const Browser&) = delete;

  // In CSS pixels; `scale` device pixels each.
  void Resize(int width, int height, double scale = 1) {
    Call("Emulation.setDeviceMetricsOverride",
         {{"width", width}, {"height", height}, {"deviceScaleFactor", scale}, {"mobile", width < 600}});
  }
  // Returns when the page has begun to load.
  void Open(const std::string& url) { Call("Page.navigate", {{"url", url}}); }
  // The value of an expression, or what its promise comes to; a text that begins with "exception" if it throws.
  nlohmann::json Evaluate(const std::string& expression) {
    const nlohmann::json answer = Call(
        "Runtime.evaluate", {{"expression", expression}, {"returnByValue", true}, {"awaitPromise", true}});
    if (answer.contains("exceptionDetails")) return "exception " + answer["exceptionDetails"].dump();
    return answer["result"].value("value", nlohmann::json());
  }
  // "Tab", "Enter", "ArrowLeft", ...
  void Press(const std::string& key, int code) {
    nlohmann::json event = {
        {"type", "keyDown"}, {"key", key}, {"code", key}, {"windowsVirtualKeyCode", code}};
    if (key == "Enter") event["text"] = "\r";
    Call("Input.dispatchKeyEvent", event);
    event["type"] = "keyUp";
    event.erase("text");
    Call("Input.dispatchKeyEvent", event);
  }
  // The page from its top, at most so many pixels of it, as a PNG file.
  void Picture(const std::string& path, double most_height) {
    const nlohmann::json size = Call("Page.getLayoutMetrics")["cssContentSize"];
    const nlohmann::json clip = {{"x", 0},
                                 {"y", 0},
                                 {"width", size["width"]},
                                 {"height", std::min(most_height, size["height"].get<double>())},
                                 {"scale", 1}};
    const std::string text =
        Call("Page.captureScreenshot",
             {{"format", "png"}, {"captureBeyondViewport", true}, {"clip", clip}})["data"];
    std::ofstream file(path, std::ios::binary);
    unsigned bits = 0;
    int count = 0;
    for (const char c : text) {  // base 64
      const std::size_t digit =
          std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/").find(c);
      if (digit == std::string_view::npos) break;
      bits = bits << 6 | static_cast<unsigned>(digit);
      if ((count += 6) >= 8) file.put(static_cast<char>(bits >> (count -= 8) & 0xff));
    }
  }
  // The addresses of all requests so far, and what the console had to complain about.
  const std::vector<std::string>& requests() const { return requests_; }
  const std::vector<std::string>& complaints() const { return complaints_; }

 private:
  nlohmann::json Call(const std::string& method,
                      const nlohmann::json& parameters = nlohmann::json::object()) {
    const int id = ++last_id_;
    nlohmann::json command = {{"id", id}, {"method", method}, {"params", parameters}};
    if (!session_.empty()) command["sessionId"] = session_;
    const std::string text = command.dump() + '\0';
    if (write(to_, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
      throw std::runtime_error("the browser has gone, before " + method);
    for (;;) {
      const nlohmann::json message = Next(method);
      if (message.value("id", 0) == id) {
        if (message.contains("error")) throw std::runtime_error(method + ": " + message["error"].dump());
        return message["result"];
      }
      const std::string event = message.value("method", "");
      if (event == "Network.requestWillBeSent") requests_.push_back(message["params"]["request"]["url"]);
      if (event == "Runtime.exceptionThrown") complaints_.push_back(message["params"].dump());
      if (event == "Log.entryAdded") complaints_.push_back(message["params"].dump());
    }
  }
  nlohmann::json Next(const std::string& method) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60) * kSlowdown;
    std::size_t end;
    while ((end = received_.find('\0')) == std::string::npos) {
      pollfd ready{from_, POLLIN, 0};
      char bytes[65536];
      const bool late = std::chrono::steady_clock::now() > until;
      const ssize_t got = !late && poll(&ready, 1, 1000) > 0 ? read(from_, bytes, sizeof(bytes))
                          : late                             ? 0
                                                             : -1;
      if (got == 0) throw std::runtime_error("no answer from the browser to " + method);
      if (got > 0) received_.append(bytes, static_cast<std::size_t>(got));
    }
    const std::string text = received_.substr(0, end);
    received_.erase(0, end + 1);
    return nlohmann::json::parse(text);
  }

  TemporaryFolder folder_;
  pid_t pid_ = -1;
  int to_ = -1, from_ = -1;
  int last_id_ = 0;
  std::string session_, received_;
  std::vector<std::string> requests_, complaints_;
};

}  // namespace cohort::testing

#endif  // COHORT_TESTS_SUPPORT_BROWSER_H_
