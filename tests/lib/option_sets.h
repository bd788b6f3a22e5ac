/*
 * option_sets.h - which combinations of options random histories have opened stores with.
 *
 * In the picture: tests only; a figure of model/test_model.
 */
#ifndef LOAM_TESTS_LIB_OPTION_SETS_H
#define LOAM_TESTS_LIB_OPTION_SETS_H

#include "db/db.h"

void option_sets_note(const loam_options *options, const struct db_world *world);
size_t option_sets_count(void);

#endif
