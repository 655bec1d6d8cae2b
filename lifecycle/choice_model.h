// ChoiceModel: weights of several scores, from what users chose among items: a conditional logit (McFadden: "Conditional Logit Analysis of
// Qualitative Choice Behavior", 1973).
//
//   P(i | C) = exp(w . x_i + o_i) / sum over j in C of exp(w . x_j + o_j)
//
// maximises sum over choices of log P - l2 / 2 sum_f (w_f s_f)^2, with s_f the standard deviation of score f. Alternatives that are drawn with
// probability q_i have the offset o_i = -log q_i (McFadden: "Modelling the Choice of Residential Location", 1978): then the weights
// tend to those of the choice among all items.
#ifndef COHORT_LIFECYCLE_CHOICE_MODEL_H_
#define COHORT_LIFECYCLE_CHOICE_MODEL_H_

#include <cstdint>
#include <vector>

namespace cohort {

// Choices, each among alternatives, the first of which was chosen.
struct Choices {
  std::size_t features = 0;
  std::vector<std::uint64_t> first;  // of each choice's alternatives, and the end
  std::vector<float> scores;         // alternatives x features
  std::vector<float> offsets;        // by alternative
  std::size_t size() const { return first.size() - 1; }
};

// log P summed over the choices, and its gradient by w and matrix of second derivatives (features x features), where wanted.
double LogLikelihood(const Choices& choices, const std::vector<double>& weights,
                     std::vector<double>* gradient = nullptr, std::vector<double>* curvature = nullptr);

// The maximum, by Newton's method; features with used[f] == false, and those that do not vary, have weight 0. No choices: all 0.
std::vector<double> FitChoices(const Choices& choices, const std::vector<bool>& used, double l2);

// The same choices with other scores: directions[k] . x for each k.
Choices Project(const Choices& choices, const std::vector<std::vector<double>>& directions);

// Mean over the choices of 1 / log2(1 + rank), 0 beyond rank `top`, of the chosen item among its alternatives by weights . x (equal ones rank
// before it; offsets do not count): NDCG@top of one relevant item each.
double MeanGain(const Choices& choices, const std::vector<double>& weights, std::size_t top);

// Weights >= 0 of large MeanGain, by coordinate ascent (Metzler and Croft: "Linear Feature-Based Models for Information Retrieval", 2007) from
// the best single score: never worse than that. The likelihood counts all alternatives, this the first ranks alone.
std::vector<double> AscendGain(const Choices& choices, std::size_t top);

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_CHOICE_MODEL_H_
