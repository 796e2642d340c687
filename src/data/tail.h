/* Where the end of a text begins that is kept for validation: the last part of its characters. */
#ifndef BV_DATA_TAIL_H
#define BV_DATA_TAIL_H

#include "data/survey.h"

/* Where in the map the last `fraction` (0 to 1) of the characters begins. */
size_t bv_tail_find(const bv_survey *survey, double fraction);

#endif
