/*
 * What the guard does about a bad step: it skips and explains it; after several in a row it replays
 * the last one to tell faulty hardware from bad data or settings, returns to the last regular
 * checkpoint and leaves the stretch of data out, and gives up after several returns. For src/train.
 */
#ifndef BV_TRAIN_RESCUE_H
#define BV_TRAIN_RESCUE_H

#include "train/session.h"

/* After a bad step, which is not applied: counts it, writes its line of metrics, and returns to a
 * checkpoint when it was one too many (the session's progress moves back, the metrics are cut).
 * BV_CODE_FAULT when there is no way on. loss, norm: of the bad step, before any replay. */
bv_status bv_rescue(bv_session *session, const bv_verdict *verdict, double loss, double norm);

#endif
