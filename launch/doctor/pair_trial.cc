#include "launch/doctor/pair_trial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <utility>

#include "common/wire.h"

namespace cohort {
namespace {

constexpr int kRounds = 2;  // of question and answer; the best counts
constexpr Duration kCallTurn = std::chrono::milliseconds(20);
constexpr Duration kEchoTurn = std::chrono::milliseconds(50);
constexpr std::string_view kTcp = "tcp://";

using SteadyClock = std::chrono::steady_clock;

Status SendAck(Transport& transport, NodeId from, NodeId to, RequestId id) {
  Stamp stamp;
  stamp.sender = from;
  return transport.Send(to, Encode(stamp, to, Ack{id}));
}

// A port that only an address says of itself is none: "tcp://10.0.0.7:41234".
bool AddressOf(const std::string& endpoint, sockaddr_in* address) {
  const std::size_t colon = endpoint.rfind(':');
  if (!endpoint.starts_with(kTcp) || colon < kTcp.size()) return false;
  std::uint16_t port = 0;
  const auto read = std::from_chars(endpoint.data() + colon + 1, endpoint.data() + endpoint.size(), port);
  *address = {};
  address->sin_family = AF_INET;
  address->sin_port = htons(port);
  return read.ec == std::errc() && port != 0 &&
         inet_pton(AF_INET, endpoint.substr(kTcp.size(), colon - kTcp.size()).c_str(), &address->sin_addr) ==
             1;
}

PairFact FromError(int error) {
  switch (error) {
    case ECONNREFUSED:
    case ECONNRESET:
      return {Reach::kRefused, std::strerror(error), 0};
    case ETIMEDOUT:
      return {Reach::kSilent, std::strerror(error), 0};
    default:
      return {Reach::kNoRoute, std::strerror(error), 0};
  }
}

// Connects by TCP alone to all at once whose fact is still kMute, and closes what it has opened: it says why a host cannot be reached.
void ConnectMute(const std::vector<std::string>& endpoints, Duration limit, std::vector<PairFact>* facts) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  std::vector<pollfd> files;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    PairFact& fact = (*facts)[i];
    if (fact.reach != Reach::kMute) continue;
    sockaddr_in address{};
    if (!AddressOf(endpoints[i], &address)) {
      fact = {Reach::kNoRoute, "\"" + endpoints[i] + "\" is no address of TCP", 0};
      continue;
    }
    const int file = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (file < 0) {
      fact.words += std::string("; TCP alone was not tried: ") + std::strerror(errno);
      continue;
    }
    const int status = ::connect(file, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    if (status == 0 || errno == EINPROGRESS) {
      files.push_back({file, POLLOUT, 0});
      places.push_back(i);
    } else {
      fact = FromError(errno);
      ::close(file);
    }
  }
  for (std::size_t open = files.size(); open > 0;) {
    const Duration left = deadline - std::chrono::steady_clock::now();
    if (left <= Duration::zero()) break;
    ::poll(files.data(), files.size(),
           static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count()));
    for (std::size_t i = 0; i < files.size(); ++i) {
      if (files[i].fd < 0 || files[i].revents == 0) continue;
      int error = 0;
      socklen_t size = sizeof(error);
      ::getsockopt(files[i].fd, SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) (*facts)[places[i]] = FromError(error);
      ::close(files[i].fd);
      files[i].fd = -1;
      --open;
    }
  }
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (files[i].fd < 0) continue;
    ::close(files[i].fd);
    (*facts)[places[i]] = {Reach::kSilent, "no answer to a connection", 0};
  }
}

// ZeroMQ to all at once: a question, its answer, kRounds times.
class Caller {
 public:
  Caller(ZmqContext& context, std::uint32_t self, const std::vector<std::string>& endpoints,
         std::vector<PairFact>* facts)
      : self_(self), facts_(facts), calls_(endpoints.size()) {
    ZmqTransport::Options silent;
    silent.listen_host.clear();
    silent.linger = Duration::zero();
    silent.connect_wait = Duration::zero();
    auto transport = ZmqTransport::Create(context, WorkerNode(self), silent);
    if (transport) transport_ = std::move(*transport);
    for (std::size_t i = 0; i < endpoints.size(); ++i) {
      if (endpoints[i].empty()) continue;
      const Status connected =
          transport ? transport_->Connect(ShardNode(static_cast<std::uint32_t>(i)), endpoints[i])
                    : transport.error();
      calls_[i].connected = connected.ok();
      (*facts_)[i] = {Reach::kMute, connected.ok() ? "no answer over ZeroMQ" : connected.text(), 0};
    }
  }

  // Until all have answered that are not known to be out of reach.
  void TalkUntil(SteadyClock::time_point deadline) {
    while (Ask() && SteadyClock::now() < deadline) {
      const auto turn_end = SteadyClock::now() + kCallTurn;
      for (Duration left = kCallTurn; left > Duration::zero(); left = turn_end - SteadyClock::now()) {
        if (const auto frames = transport_->Receive(left)) Hear(*frames);
        if (open_ == 0) return;
      }
    }
  }

 private:
  struct Call {
    bool connected = false;  // there is a socket
    int rounds = 0;          // answered
    bool asked = false;
    SteadyClock::time_point since{};
    double best = 0;
  };

  // A question to each that owes none; whether anybody is to be waited for.
  bool Ask() {
    open_ = 0;
    for (std::size_t i = 0; i < calls_.size(); ++i) {
      if (!calls_[i].connected || (*facts_)[i].reach != Reach::kMute) continue;
      ++open_;
      if (!calls_[i].asked) AskOne(i);
    }
    return open_ > 0;
  }
  // In vain until it is connected.
  void AskOne(std::size_t place) {
    Call& call = calls_[place];
    call.since = SteadyClock::now();
    const std::size_t number = place * kRounds + static_cast<std::size_t>(call.rounds);
    call.asked = SendAck(*transport_, WorkerNode(self_), ShardNode(static_cast<std::uint32_t>(place)),
                         static_cast<RequestId>(number + 1))
                     .ok();
  }

  void Hear(const Frames& frames) {
    const auto now = SteadyClock::now();
    const auto decoded = Decode(frames);
    if (!decoded || !std::holds_alternative<Ack>(decoded->message)) return;
    const std::uint64_t number = RequestIdOf(decoded->message) - 1;
    const std::size_t place = number / kRounds;
    if (place >= calls_.size() || (*facts_)[place].reach != Reach::kMute) return;
    Call& call = calls_[place];
    if (!call.asked || number % kRounds != static_cast<std::uint64_t>(call.rounds)) return;
    const double seconds = std::chrono::duration<double>(now - call.since).count();
    call.best = call.rounds == 0 ? seconds : std::min(call.best, seconds);
    if (++call.rounds < kRounds) {
      AskOne(place);
    } else {
      (*facts_)[place] = {Reach::kReached, "", call.best};
      --open_;
    }
  }

  const std::uint32_t self_;
  std::vector<PairFact>* const facts_;
  std::unique_ptr<ZmqTransport> transport_;  // null: nobody is connected
  std::vector<Call> calls_;
  std::size_t open_ = 0;  // that an answer is to come from
};

}  // namespace

Result<std::unique_ptr<EchoEnd>> EchoEnd::Open(ZmqContext& context, const std::string& address) {
  ZmqTransport::Options options;
  options.listen_host = address;
  options.linger = Duration::zero();
  COHORT_ASSIGN_OR_RETURN(auto transport, ZmqTransport::Create(context, ShardNode(0), options));
  return std::unique_ptr<EchoEnd>(new EchoEnd(std::move(transport)));
}

EchoEnd::EchoEnd(std::unique_ptr<ZmqTransport> transport)
    : transport_(std::move(transport)), thread_([this] { Answer(); }) {}

EchoEnd::~EchoEnd() {
  over_ = true;
  thread_.join();
}

void EchoEnd::Answer() {
  while (!over_) {
    const auto frames = transport_->Receive(kEchoTurn);
    if (!frames) continue;
    const auto decoded = Decode(*frames);
    if (!decoded || !std::holds_alternative<Ack>(decoded->message)) continue;
    // A caller that is gone hears nothing.
    (void)SendAck(*transport_, ShardNode(0), decoded->stamp.sender, RequestIdOf(decoded->message));
  }
}

std::vector<PairFact> CallAll(ZmqContext& context, std::uint32_t self,
                              const std::vector<std::string>& endpoints, Duration limit) {
  const auto start = SteadyClock::now();
  std::vector<PairFact> facts(endpoints.size());
  Caller caller(context, self, endpoints, &facts);
  caller.TalkUntil(start + limit / 2);
  ConnectMute(endpoints, limit / 4, &facts);
  caller.TalkUntil(start + limit);  // to those that are only slow
  return facts;
}

}  // namespace cohort
