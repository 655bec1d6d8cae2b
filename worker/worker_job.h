// RunWorker: a worker's life, from registration to the scheduler's stop.
#ifndef COHORT_WORKER_WORKER_JOB_H_
#define COHORT_WORKER_WORKER_JOB_H_

#include <functional>

#include "common/message.h"
#include "common/status.h"
#include "worker/pump.h"
#include "worker/worker.h"

namespace cohort {

// Registers, opens the dataset that the scheduler's configuration names, and takes part in every phase until
// the stop. A failure of its own (unreadable data) is reported to the scheduler, which ends the run with it.
// Ok when the run ended well; else why it ended. `measure` adds what only the process knows (bytes, memory,
// CPU) to the counters of each heartbeat.
Status RunWorker(Worker& worker, Pump& pump, std::uint32_t index, std::function<void(Counters*)> measure);

}  // namespace cohort

#endif  // COHORT_WORKER_WORKER_JOB_H_
