// ScoreFile: predictions in the form of scheduler/score_writer.h (`cohort score`, `cohort baseline`, or a program of one's own),
// read back whole.
#ifndef COHORT_LAUNCH_SCORE_FILE_H_
#define COHORT_LAUNCH_SCORE_FILE_H_

#include <string>
#include <vector>

#include "common/dataset.h"
#include "common/status.h"

namespace cohort {

struct ScoreFile {
  std::vector<std::string> ids;  // rows: the `id` column, numbers as text
  std::vector<std::vector<float>>
      predictions;  // by task: (rows, task.PredictionColumns()), or empty: the file lacks the task
};

// Reads .csv or .h5 by its name; what the process was handed open (input_file.h) as .csv. Columns of no task are passed over. kInvalidInput, with file and line: no `id`, a task with a
// part of its columns only, a cell that is no finite number, rows of another length.
Result<ScoreFile> ReadScoreFile(const std::string& path, const std::vector<TaskInfo>& tasks);

}  // namespace cohort

#endif  // COHORT_LAUNCH_SCORE_FILE_H_
