// Files that are read, as users name them: what they must be, how they are opened, and what must not take their place.
#ifndef COHORT_COMMON_INPUT_FILE_H_
#define COHORT_COMMON_INPUT_FILE_H_

#include <span>
#include <string>
#include <vector>

#include "common/status.h"

namespace cohort {

// Whether a file can be read more than once, and replaced: kInvalidInput, it is a folder, a pipe, a socket or a device. One that is not
// there passes: whoever opens it says so.
Status CheckRegularFile(const std::string& path);

// Whether the name is of what the process was handed open: /dev/stdin, /dev/fd/N (a shell's <(...)).
bool IsHandedOpen(const std::string& path);

// A descriptor to read a file once, from its beginning to its end. What CheckRegularFile refuses is refused before it is opened, which
// of a named pipe waits until somebody writes to it; but for what the process was handed open.
// Errors: kInvalidInput, also if it is not there or may not be read; kIo.
Result<int> OpenInput(const std::string& path);

// Whether a file may be written: kInvalidInput, with the mend for somebody who has given it on a command line, if it is one of the inputs, is
// there and is not to be replaced or no regular file, or its folder is not there or cannot be written.
Status CheckOutput(const std::string& path, bool overwrite, const std::vector<std::string>& inputs);

// Makes a folder (and its parents) for files of these names, relative to it. Before that, as CheckOutput of each: kInvalidInput, one is there
// and is not to be replaced, or no regular file; or the folder cannot be made.
Status MakeOutputFolder(const std::string& folder, std::span<const char* const> files, bool overwrite);

}  // namespace cohort

#endif  // COHORT_COMMON_INPUT_FILE_H_
