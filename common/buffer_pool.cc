#include "common/buffer_pool.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <new>
#include <utility>

namespace cohort {
namespace {

constexpr std::size_t kSmallestBlock = 64;
constexpr std::align_val_t kAlignment{64};

// Of a power of two.
std::size_t SizeClass(std::size_t bytes) { return static_cast<std::size_t>(std::countr_zero(bytes)); }

}  // namespace

struct BufferPool::Block {
  Block* next = nullptr;  // in Returned
  std::byte* memory = nullptr;
  std::size_t bytes = 0;

  explicit Block(std::size_t n) : memory(static_cast<std::byte*>(::operator new(n, kAlignment))), bytes(n) {}
  ~Block() { ::operator delete(memory, kAlignment); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
};

// Blocks on their way back: a stack that any thread pushes to and the pool's thread takes as a whole, which
// needs neither a lock nor care about reused nodes.
struct BufferPool::Returned {
  std::atomic<Block*> top{nullptr};

  void Push(Block* block) {
    block->next = top.load(std::memory_order_relaxed);
    while (!top.compare_exchange_weak(block->next, block, std::memory_order_release,
                                      std::memory_order_relaxed)) {
    }
  }
  Block* TakeAll() { return top.exchange(nullptr, std::memory_order_acquire); }
  ~Returned() {
    for (Block* block = TakeAll(); block != nullptr;) delete std::exchange(block, block->next);
  }
};

BufferPool::BufferPool() : returned_(std::make_shared<Returned>()) {}

// Blocks still out there keep `returned_` alive and are freed with it.
BufferPool::~BufferPool() {
  for (const auto& blocks : free_) {
    for (Block* block : blocks) delete block;
  }
}

std::shared_ptr<void> BufferPool::TakeBytes(std::size_t bytes) {
  for (Block* block = returned_->TakeAll(); block != nullptr; block = block->next)
    free_[SizeClass(block->bytes)].push_back(block);
  // Sizes are powers of two: any block of the right one fits, and none is wasted on a small array.
  const std::size_t size = std::bit_ceil(std::max(bytes, kSmallestBlock));
  std::vector<Block*>& fitting = free_[SizeClass(size)];
  Block* block = nullptr;
  if (fitting.empty()) {
    block = new Block(size);
    ++blocks_;
  } else {
    block = fitting.back();
    fitting.pop_back();
  }
  return std::shared_ptr<void>(block->memory,
                               [returned = returned_, block](void*) { returned->Push(block); });
}

}  // namespace cohort
