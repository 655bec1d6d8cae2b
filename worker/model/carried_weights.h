// Which dense weights of one model are those of another: what a warm start takes over.
//
// Weights are matched by what they connect. A layer's input columns belong to a feature (its embedding, its bin's embedding,
// its number, its missing indicator, what its sequence's encoder says) and are matched by the feature's name, as are the
// encoder's own weights and what the autoencoder reads and reconstructs; towers, gates, experts of a task's own, outputs
// and transfers belong to tasks and are matched by the task's name; what is shared is matched by its place. So columns of
// an added feature and everything of an added task have no counterpart, and what belonged to removed ones is not asked for.
// A task counts as another one if its type or classes differ, a sequence if its encoder or that one's options do, a vector if
// its length does, the autoencoder if its bottleneck does, a transfer (aitm) if either of its two tasks does.
#ifndef COHORT_WORKER_MODEL_CARRIED_WEIGHTS_H_
#define COHORT_WORKER_MODEL_CARRIED_WEIGHTS_H_

#include <cstdint>
#include <vector>

#include "common/status.h"
#include "worker/model/model.h"

namespace cohort {

// Whether the models have layers that can be matched. Errors (kInvalidInput) name the option of [model] that differs: kind,
// embedding_dim (its own, or a feature's that both have), experts, task_experts, expert_levels, expert_layers, tower_layers.
Status CheckMatchingLayers(const ModelSpec& now, const ModelSpec& before);

// For each of now.dense_count weights its place in the dense vector of `before`, or -1.
// REQUIRES: CheckMatchingLayers.
std::vector<std::int64_t> CarriedWeights(const ModelSpec& now, const ModelSpec& before);

// For each of now.tables the one of before.tables that has the rows of its features, or -1: it has none of a feature that both
// models have. The first takes those of the first then, whose features may have been removed. Several may have the same.
// Errors (kInvalidInput): rows of two tables would become one.
// REQUIRES: CheckMatchingLayers.
Result<std::vector<std::int64_t>> CarriedTables(const ModelSpec& now, const ModelSpec& before);

}  // namespace cohort

#endif  // COHORT_WORKER_MODEL_CARRIED_WEIGHTS_H_
