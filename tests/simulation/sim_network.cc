#include "tests/simulation/sim_network.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>
#include <variant>

#include "common/float16.h"
#include "common/wire.h"

namespace cohort {
namespace {

// Messages whose repetition by their own sender is a retry.
bool IsRetried(const Message& message) {
  return !std::holds_alternative<Heartbeat>(message) &&
         (std::holds_alternative<PullRequest>(message) || std::holds_alternative<PushRequest>(message) ||
          std::holds_alternative<CloseRequest>(message) || std::holds_alternative<Register>(message) ||
          std::holds_alternative<PhaseOrder>(message) || std::holds_alternative<PhaseDone>(message) ||
          std::holds_alternative<LeaseRequest>(message) || std::holds_alternative<ScoreBlock>(message) ||
          std::holds_alternative<SnapshotOrder>(message) || std::holds_alternative<SnapshotDone>(message));
}

RequestId& IdOf(Message& message) {
  return *std::visit([](auto& m) { return &m.request_id; }, message);
}

constexpr std::uint64_t kTick = ~0ull;    // in place of a pause's number
constexpr std::uint32_t kUnheard = 1000;  // indices of processes that others have replaced

Frames FlipOneBit(const Frames& frames, std::uint64_t bit) {
  std::uint64_t at = bit / 8;
  Frames out;
  for (const Buffer& frame : frames) {
    if (at >= frame.size()) {
      at -= out.emplace_back(frame).size();
      continue;
    }
    std::vector<std::byte> bytes(frame.data(), frame.data() + frame.size());
    bytes[at] ^= static_cast<std::byte>(1u << bit % 8);
    out.push_back(Buffer::Own(std::move(bytes)));
    at = ~0ull;
  }
  return out;
}

}  // namespace

SimNetwork::SimNetwork(std::uint64_t seed, NetworkFaults faults, FaultScript script, std::uint32_t life)
    : random_(seed, 0x6e6574), faults_(std::move(faults)), script_(std::move(script)), life_(life) {
  if (script_.replay == nullptr) {
    for (const LinkFault& link : faults_.links) {
      script_.Record({link.clogged ? FaultKind::kClogged : FaultKind::kCut, life_, link.from, link.to, 0,
                      link.begin, link.end - link.begin});
    }
    if (faults_.pauses_per_second > 0) At(now_, {EventKind::kPause, {}, {}, {}, 0, false, false});
    return;
  }
  faults_.links.clear();
  for (const auto& [life_of_tick, at] : script_.replay->ticks) {
    if (life_of_tick == life_) At(at, {EventKind::kPause, {}, {}, {}, kTick, false, false});
  }
  for (const Fault& fault : script_.replay->faults) {
    if (fault.life != life_) continue;
    if (fault.kind <= FaultKind::kGhost) {
      replayed_[{fault.from, fault.to, fault.number}].push_back(fault);
    } else if (fault.kind == FaultKind::kPause) {
      At(fault.at, {EventKind::kPause, {}, {}, {}, pauses_.size(), false, false});
      pauses_.push_back(fault);
    } else if (fault.kind == FaultKind::kCut || fault.kind == FaultKind::kClogged) {
      faults_.links.push_back(
          {fault.from, fault.to, fault.at, fault.at + fault.duration, fault.kind == FaultKind::kClogged});
    }
  }
}

void SimNetwork::MakeUnheard(NodeId id) {
  if (!Runs(id)) return;
  const NodeId unheard{id.role, kUnheard + replaced_alive_++};  // an index that nobody knows
  Place& place = places_[unheard] = std::move(places_.at(id));
  place.timer = kNever;
  ScheduleTimer(unheard, place);
  std::erase_if(heard_, [id](const auto& each) { return each.first.second == id; });  // as after Kill
  ++counts_["fault: replaced while alive"];
}

void SimNetwork::SetNode(NodeId id, Node* node, TimePoint at, std::function<void(TimePoint, Outbox&)> start) {
  MakeUnheard(id);
  places_[id] = {node, node->stamp().sender, std::move(start), false, false, {}, kNever};
  At(at, {EventKind::kStart, {}, id, {}, 0, false, false});
}

void SimNetwork::AfterTurn(NodeId id, Outbox& out) {
  const NodeId name = places_.at(id).node->stamp().sender;
  if (name != places_.at(id).name) {
    Place place = std::exchange(places_.at(id), Place());
    MakeUnheard(name);
    place.name = name;
    place.timer = kNever;
    places_[name] = std::move(place);
    // Of this life of that node nobody has heard yet.
    std::erase_if(heard_,
                  [name](const auto& each) { return each.first.first == name || each.first.second == name; });
    ++counts_["path: a node with another name"];
    id = name;
  }
  Place& place = places_.at(id);
  SendAll(id, *place.node, out);
  ScheduleTimer(id, place);
}

void SimNetwork::End(NodeId id) {
  places_.at(id).running = false;
  // Its next life has not heard of anybody.
  std::erase_if(heard_, [id](const auto& each) { return each.first.second == id; });
  TraceLine("end    ", ToString(id));
}

void SimNetwork::Kill(NodeId id) {
  End(id);
  ++counts_[std::string("fault: killed ") + RoleName(id.role)];
}

bool SimNetwork::Runs(NodeId id) const {
  const auto place = places_.find(id);
  return place != places_.end() && place->second.running;
}

void SimNetwork::Poke(NodeId id, const std::function<void(TimePoint, Outbox&)>& what) {
  Outbox out;
  what(now_, out);
  AfterTurn(id, out);
}

void SimNetwork::Inject(const Stamp& stamp, NodeId to, const Message& message, TimePoint at) {
  At(at, {EventKind::kDeliver, stamp.sender, to, Encode(stamp, to, message), 0, false, true});
}

void SimNetwork::At(TimePoint time, Event event) {
  events_.emplace(std::pair(time, next_event_++), std::move(event));
}

bool SimNetwork::Run(const std::function<bool()>& done, TimePoint deadline) {
  while (!done()) {
    if (events_.empty() || events_.begin()->first.first > deadline) return false;
    if (!violation_.empty()) return false;
    if (++events_handled_ > 10'000'000) {
      const Event& last = events_.begin()->second;
      violation_ = "the nodes talk without end, now " + ToString(last.to) +
                   (last.kind == EventKind::kTimer ? " with itself" : " with " + ToString(last.from));
      return false;
    }
    auto next = events_.extract(events_.begin());
    now_ = next.key().first;
    Fingerprint(next.mapped());
    Handle(std::move(next.mapped()));
  }
  return violation_.empty();
}

void SimNetwork::Handle(Event event) {
  if (event.kind == EventKind::kPause) {
    if (script_.replay == nullptr) return Pause();
    if (event.link_number == kTick) return;
    const Fault& fault = pauses_[event.link_number];
    const auto paused = places_.find(fault.to);
    if (paused != places_.end()) PauseNode(fault.to, paused->second, fault.duration);
    return;
  }
  Place& place = places_.at(event.to);
  if (place.paused_until > now_) {  // it hears and does nothing; all that has come waits
    ++counts_["fault: event during a pause"];
    const TimePoint resume = place.paused_until;
    return At(resume, std::move(event));
  }
  Outbox out;
  if (event.kind == EventKind::kStart) {
    place.running = true;
    place.start(now_, out);
  } else if (!place.running) {
    ++counts_["fault: receiver not there yet"];
    return;
  } else if (event.kind == EventKind::kDeliver) {
    return Deliver(place, event);
  } else {
    if (place.timer > now_) return;  // replaced by a later one
    place.timer = kNever;
    if (place.node->NextTimer() <= now_) place.node->OnTimer(now_, out);
  }
  AfterTurn(event.to, out);
}

void SimNetwork::Deliver(Place& place, Event& event) {
  auto decoded = Decode(event.frames);
  if (event.damaged) {
    ++counts_["fault: bit flipped, frame refused"];
    if (decoded) violation_ = "a damaged frame was accepted";
    return;
  }
  if (!decoded) {
    violation_ = decoded.error().text();
    return;
  }
  Trace(event.ghost ? "ghost  " : "deliver", event);
  if (!event.ghost) {
    auto& newest = links_[{event.from, event.to}].second;
    if (event.link_number < newest) ++counts_["fault: overtaken"];
    newest = std::max(newest, event.link_number);
    if (!std::holds_alternative<ErrorReply>(decoded->message) &&
        (place.welcomed || event.to.role != Role::kWorker)) {
      std::uint32_t& heard = heard_[{event.from, event.to}];
      heard = std::max(heard, decoded->stamp.incarnation);
    }
    if (std::holds_alternative<Welcome>(decoded->message)) place.welcomed = true;
  }
  Outbox out;
  place.node->OnMessage(decoded->stamp, std::move(decoded->message), now_, out);
  AfterTurn(event.to, out);
}

void SimNetwork::ScheduleTimer(NodeId id, Place& place) {
  const TimePoint next = place.node->NextTimer();
  if (next == kNever || next >= place.timer) return;
  place.timer = std::max(next, now_);
  At(place.timer, {EventKind::kTimer, {}, id, {}, 0, false, false});
}

void SimNetwork::Pause() {
  if (script_.record != nullptr) script_.record->ticks.emplace_back(life_, now_);
  if (now_ >= faults_.end) return;
  const auto whole = static_cast<std::uint64_t>(1e9 / faults_.pauses_per_second * 2);
  At(now_ + Duration(1 + random_.Below(whole)), {EventKind::kPause, {}, {}, {}, 0, false, false});
  if (places_.empty()) return;
  auto place = std::next(places_.begin(), static_cast<std::ptrdiff_t>(random_.Below(places_.size())));
  if (!place->second.running || place->second.paused_until > now_) return;
  PauseNode(place->first, place->second,
            Duration(random_.Below(static_cast<std::uint64_t>(faults_.max_pause.count()) + 1)));
}

void SimNetwork::PauseNode(NodeId id, Place& place, Duration length) {
  if (!place.running || place.paused_until > now_) return;
  ++counts_["fault: pause"];
  TraceLine("pause  ", ToString(id));
  script_.Record({FaultKind::kPause, life_, {}, id, 0, now_, length});
  place.paused_until = now_ + length;
}

Duration SimNetwork::Delay() {
  const auto spread = static_cast<std::uint64_t>((faults_.max_delay - faults_.min_delay).count());
  return faults_.min_delay + Duration(random_.Below(spread + 1));
}

Duration SimNetwork::Late() {
  if (!Chance(faults_.late)) return {};
  return Duration(random_.Below(static_cast<std::uint64_t>(faults_.max_late.count()) + 1));
}

SimNetwork::Fate SimNetwork::FateOf(NodeId from, NodeId to, std::uint64_t number, std::uint64_t bytes) {
  Fate fate;
  if (script_.replay == nullptr) {
    if ((fate.lost = Chance(faults_.lose))) return fate;
    if (Chance(faults_.repeat)) {
      fate.repeat = Delay();
      fate.repeat += Late();
    }
    if ((fate.flipped = Chance(faults_.flip))) {
      fate.flipped_bit = 8 * random_.Below(bytes);
      fate.flipped_bit += random_.Below(8);
    }
    fate.delay = Delay();
    fate.late = Late();
    return fate;
  }
  const auto delay = script_.replay->delays.find({life_, from, to, number});
  fate.delay = delay == script_.replay->delays.end() ? faults_.min_delay : delay->second;
  const auto faults = replayed_.find({from, to, number});
  if (faults == replayed_.end()) return fate;
  for (const Fault& fault : faults->second) {
    if (fault.kind == FaultKind::kLost) fate.lost = true;
    if (fault.kind == FaultKind::kRepeated) fate.repeat = fault.duration;
    if (fault.kind == FaultKind::kLate) fate.late = fault.duration;
    if (fault.kind != FaultKind::kFlipped) continue;
    fate.flipped = true;
    fate.flipped_bit = fault.detail % (8 * bytes);
  }
  return fate;
}

const LinkFault* SimNetwork::FaultOf(NodeId from, NodeId to) const {
  const LinkFault* found = nullptr;  // the worst
  for (const LinkFault& fault : faults_.links) {
    if (fault.from != from || fault.to != to || now_ < fault.begin || now_ >= fault.end) continue;
    if (found == nullptr || !fault.clogged || (found->clogged && found->end < fault.end)) found = &fault;
    if (!found->clogged) break;
  }
  return found;
}

void SimNetwork::SendAll(NodeId from, Node& node, Outbox& out) {
  if (out.empty()) return;
  const Stamp stamp = node.stamp();
  for (Outgoing& outgoing : out.Take()) SendOne(from, stamp, std::move(outgoing));
}

void SimNetwork::SendOne(NodeId from, const Stamp& stamp, Outgoing outgoing) {
  ++counts_["messages"];
  if (IsRetried(outgoing.message) &&
      !requests_.emplace(from, outgoing.message.index(), RequestIdOf(outgoing.message)).second) {
    ++counts_[std::string("path: sent again: ") + MessageName(outgoing.message)];
  }
  const auto count_type = [&](const auto* message) {
    if (message == nullptr || message->type == FloatType::kFloat32) return;
    ++counts_[std::string("path: ") + MessageName(outgoing.message) + " in " + FloatTypeName(message->type)];
  };
  count_type(std::get_if<PullReply>(&outgoing.message));
  count_type(std::get_if<PushRequest>(&outgoing.message));
  Event event{
      EventKind::kDeliver, from, outgoing.to, Encode(stamp, outgoing.to, outgoing.message), 0, false, false};
  event.link_number = ++links_[{from, outgoing.to}].first;
  MaybeGhost(from, stamp, outgoing.to, event.link_number, outgoing.message);
  const LinkFault* const link = FaultOf(stamp.sender, event.to);
  if (link != nullptr && !link->clogged) {
    ++counts_["fault: link cut"];
    return Trace("cut    ", event);
  }
  const auto record = [&](FaultKind kind, Duration duration = {}, std::uint64_t detail = 0) {
    script_.Record({kind, life_, from, event.to, event.link_number, now_, duration, detail});
  };
  const Fate fate = FateOf(from, event.to, event.link_number, SizeOf(event.frames));
  if (fate.lost) {
    ++counts_["fault: lost"];
    record(FaultKind::kLost);
    return Trace("lose   ", event);
  }
  if (fate.repeat != Duration::max()) {
    ++counts_["fault: repeated"];
    record(FaultKind::kRepeated, fate.repeat);
    Trace("repeat ", event);
    At(now_ + fate.repeat, event);
  }
  if (fate.flipped) {
    record(FaultKind::kFlipped, {}, fate.flipped_bit);
    Trace("damage ", event);
    event.frames = FlipOneBit(event.frames, fate.flipped_bit);
    event.damaged = true;
  }
  if (fate.late > Duration()) {
    ++counts_["fault: very late"];
    record(FaultKind::kLate, fate.late);
    if (!event.damaged) Trace("delay  ", event);
  }
  if (link != nullptr) {
    ++counts_["fault: link clogged"];
    Trace("clog   ", event);
  }
  if (script_.record != nullptr)
    script_.record->delays[{life_, from, event.to, event.link_number}] = fate.delay;
  const TimePoint at = (link != nullptr ? link->end : now_) + fate.delay + fate.late;
  At(at, std::move(event));
}

bool SimNetwork::HasHeard(NodeId listener, const Stamp& speaker) const {
  const auto heard = heard_.find({speaker.sender, listener});
  return heard != heard_.end() && heard->second >= speaker.incarnation;
}

void SimNetwork::MaybeGhost(NodeId from, const Stamp& stamp, NodeId to, std::uint64_t number,
                            const Message& message) {
  const Fault* replayed = nullptr;
  if (script_.replay == nullptr) {
    if (!Chance(faults_.ghost)) return;
  } else {
    const auto faults = replayed_.find({from, to, number});
    if (faults == replayed_.end()) return;
    for (const Fault& fault : faults->second) {
      if (fault.kind == FaultKind::kGhost) replayed = &fault;
    }
    if (replayed == nullptr) return;
  }
  Stamp ghost = stamp;
  Message copy = message;
  const auto change_phase = [&](std::int32_t by) {
    const auto change = [&](auto* m) {
      if (m != nullptr) m->phase += static_cast<std::uint32_t>(by);
      return m != nullptr;
    };
    return change(std::get_if<PullRequest>(&copy)) || change(std::get_if<PushRequest>(&copy)) ||
           change(std::get_if<CloseRequest>(&copy));
  };
  const bool request = std::holds_alternative<PullRequest>(message) ||
                       std::holds_alternative<PushRequest>(message) ||
                       std::holds_alternative<CloseRequest>(message);
  // Another process has other ids.
  const auto other_id = [&] { IdOf(copy) ^= 1ull << 61; };
  const char* name = nullptr;
  const std::uint64_t kind =
      replayed != nullptr ? replayed->detail % (request ? 6 : 2) : random_.Below(request ? 6 : 2);
  switch (kind) {
    case 0:
      // Who has not heard of the newer process yet cannot know better.
      if (stamp.sender == kSchedulerNode ? !places_.at(to).welcomed
                                         : to != kSchedulerNode && !request && !HasHeard(to, stamp)) {
        return;
      }
      if (std::holds_alternative<Register>(message)) return;  // the first to register is the member
      if (stamp.sender.role == Role::kWorker && stamp.incarnation == 0) return;  // it is its first life
      name = "ghost: earlier incarnation";
      --(stamp.sender == kSchedulerNode ? ghost.term : ghost.incarnation);
      if (request) other_id();
      if (auto* reply =
              std::get_if<PullReply>(&copy)) {  // with the id of a request that may be waiting, and nonsense
        reply->values =
            Buffer::Own(std::vector<std::uint16_t>(reply->values.size() / sizeof(std::uint16_t), 0x4e4e));
      }
      break;
    case 1:
      // Workers know replies by their ids, which no other run's request has.
      if (stamp.sender.role == Role::kShard && to.role == Role::kWorker) return;
      name = "ghost: other run";
      ++ghost.run_id;
      other_id();
      break;
    case 2:
      name = "ghost: earlier slot map";
      --ghost.generation;
      other_id();
      break;
    case 3:
      name = "ghost: later slot map";
      ++ghost.generation;
      break;
    case 4:
      name = "ghost: earlier phase";
      change_phase(-1);
      other_id();
      break;
    default:
      name = "ghost: later phase";
      change_phase(1);
      break;
  }
  ++counts_[name];
  Duration delay;
  if (replayed != nullptr) {
    delay = replayed->duration;
  } else {
    delay = Delay();
    delay += Late();
  }
  script_.Record({FaultKind::kGhost, life_, from, to, number, now_, delay, kind});
  Inject(ghost, to, copy, now_ + delay);
}

void SimNetwork::Fingerprint(const Event& event) {
  std::uint64_t checksum = 0;  // of the message, within its header
  if (!event.frames.empty()) std::memcpy(&checksum, event.frames[0].data() + 80, sizeof(checksum));
  const auto number = [](NodeId id) { return static_cast<std::uint64_t>(id.role) << 32 | id.index; };
  fingerprint_ = RandomBits(fingerprint_, static_cast<std::uint64_t>(now_.time_since_epoch().count()),
                            checksum + static_cast<std::uint64_t>(event.kind));
  fingerprint_ = RandomBits(fingerprint_, number(event.from), number(event.to));
}

void SimNetwork::Trace(const char* what, const Event& event) {
  if (!script_.trace) return;
  auto decoded = Decode(event.frames);
  std::string more;
  if (const auto* pull = std::get_if<PullRequest>(&decoded->message)) {
    more = " clock " + std::to_string(pull->clock) + " table " + std::to_string(pull->table);
  } else if (const auto* push = std::get_if<PushRequest>(&decoded->message)) {
    more = " clock " + std::to_string(push->clock) + " table " + std::to_string(push->table) + " node " +
           std::to_string(push->node);
  } else if (const auto* pushed = std::get_if<PushReply>(&decoded->message)) {
    more = " applied " + std::to_string(pushed->applied_parts) + " duplicate " +
           std::to_string(pushed->duplicate_parts);
  } else if (const auto* close = std::get_if<CloseRequest>(&decoded->message)) {
    more = " clock " + std::to_string(close->clock);
  } else if (const auto* replayed = std::get_if<ReplicaEvent>(&decoded->message)) {
    more = replayed->kind == ReplicaEvent::Kind::kPhase ? " phase " + std::to_string(replayed->phase.phase)
           : replayed->kind == ReplicaEvent::Kind::kFence
               ? " fence of worker " + std::to_string(replayed->worker)
           : replayed->kind == ReplicaEvent::Kind::kJoin
               ? " worker " + std::to_string(replayed->worker) + " joins"
               : " worker " + std::to_string(replayed->worker) + " closes " + std::to_string(replayed->clock);
  } else if (const auto* replica = std::get_if<ReplicaPush>(&decoded->message)) {
    more = " worker " + std::to_string(replica->worker) + " clock " + std::to_string(replica->push.clock) +
           " table " + std::to_string(replica->push.table);
  } else if (const auto* error = std::get_if<ErrorReply>(&decoded->message)) {
    more = " " + error->text;
  } else if (const auto* order = std::get_if<PhaseOrder>(&decoded->message)) {
    more = " phase " + std::to_string(order->phase) + " kind " +
           std::to_string(static_cast<int>(order->kind)) + " first clock " +
           std::to_string(order->first_clock) + " resume " + std::to_string(order->resume_clock);
  }
  char text[160];
  std::snprintf(text, sizeof(text), "%-11s -> %-11s %s %llx%s", ToString(event.from).c_str(),
                ToString(event.to).c_str(), MessageName(decoded->message),
                static_cast<unsigned long long>(RequestIdOf(decoded->message)), more.c_str());
  TraceLine(what, text);
}

void SimNetwork::TraceLine(const char* what, const std::string& of) {
  if (!script_.trace) return;
  char time[32];
  std::snprintf(time, sizeof(time), "%12.6f ",
                std::chrono::duration<double>(now_.time_since_epoch()).count());
  script_.trace(time + std::string(what) + " " + of);
}

}  // namespace cohort
