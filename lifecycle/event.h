// Event: what a user did, and when. Money and quantities are whole numbers, so that sums are exact and do not depend on an order.
#ifndef COHORT_LIFECYCLE_EVENT_H_
#define COHORT_LIFECYCLE_EVENT_H_

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

namespace cohort {

using Time = std::int64_t;      // seconds since 1970-01-01 00:00 in the shop's own clock
using Money = std::int64_t;     // ten-thousandths of the shop's currency
using Quantity = std::int64_t;  // thousandths of a piece
inline constexpr Time kDay = 86'400;
inline double InDays(Time seconds) { return static_cast<double>(seconds) / static_cast<double>(kDay); }
inline constexpr Money kMoneyUnit = 10'000;
inline constexpr Quantity kOnePiece = 1'000;
inline constexpr Money kNoMoney = std::numeric_limits<Money>::min();  // not known
inline constexpr Time kNoTime = std::numeric_limits<Time>::min();     // not known
inline constexpr std::uint32_t kNoItem = ~std::uint32_t{0};
// Limits of one event: an amount is at most 10^16 units, and 900 of the largest sum up within 64 bits.
inline constexpr double kMostPrice = 1e7, kMostQuantity = 1e5;

enum class EventKind : std::uint8_t { kView = 0, kFavourite, kCart, kPurchase, kReturn, kVisit, kContact };
inline constexpr int kEventKinds =
    6;  // those of [events]; a contact is of [campaigns], and no act of the user
inline constexpr std::array<const char*, kEventKinds + 1> kEventKindNames = {
    "view", "favourite", "cart", "purchase", "return", "visit", "contact"};
inline const char* EventKindName(EventKind kind) { return kEventKindNames[static_cast<std::size_t>(kind)]; }

// The quantity of a contact whose arm was drawn by chance.
inline constexpr Quantity kRandomised = 2 * kOnePiece;

struct Event {
  Time time = 0;
  Money price = kNoMoney;         // of one piece; of a contact: what came of it, which may be below 0
  Quantity quantity = kOnePiece;  // > 0; of a contact whose arm was drawn by chance: kRandomised
  std::uint32_t item = kNoItem;   // number in the ItemTable; of a contact: of the arm
  EventKind kind = EventKind::kView;
  friend bool operator==(const Event&, const Event&) = default;
};

// Price times quantity, rounded to the nearest unit of money, halves up. REQUIRES: 0 <= price, 0 <= quantity, within the limits.
inline Money Amount(Money price, Quantity quantity) {
  return static_cast<Money>((static_cast<__int128>(price) * quantity + kOnePiece / 2) / kOnePiece);
}
inline double InCurrency(Money money) { return static_cast<double>(money) / static_cast<double>(kMoneyUnit); }

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_EVENT_H_
