/* SPDX-License-Identifier: Apache-2.0
 *
 * src/flow and src/durable in a world where everything goes wrong (sim/sim.h), each time of a seed:
 * whatever happens, every execution ends with the result of its code, and its effects are there once.
 *
 *     LIMPET_FLOW_SEEDS=n   how many seeds (4,000; 1,000 with sanitizers)
 *     LIMPET_FLOW_FIRST=n   from this one on
 *     LIMPET_FLOW_SEED=n    only this one, and say what happens */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/log.h"
#include "sim/sim.h"

enum {
#ifdef __SANITIZE_ADDRESS__
    SEEDS = 1000,
#else
    SEEDS = 4000,
#endif
};

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    uint64_t value;
    return text && slice_to_u64(slice_cstr(text), &value) ? value : otherwise;
}

static void play(const struct world_options *o)
{
    const char *failure = world_play(o);
    const uint64_t seed = o->seed;
    if (!failure)
        return;
    print_message("# seed %" PRIu64 ": %s\n", seed, failure);
    print_message("# again, with all that happens: LIMPET_FLOW_SEED=%" PRIu64
                  " test_flow_simulation\n",
                  seed);
    fail();
}

static void random_worlds(void **state)
{
    const uint64_t one = from_environment("LIMPET_FLOW_SEED", 0);
    const uint64_t seeds = from_environment("LIMPET_FLOW_SEEDS", SEEDS);
    const uint64_t first = from_environment("LIMPET_FLOW_FIRST", 1);
    if (one)
        play(&(struct world_options){.seed = one, .is_loud = true, .is_calm = one % 16 == 0});
    for (uint64_t seed = first; seed < first + seeds && !one; seed++)
        play(&(struct world_options){.seed = seed, .is_calm = seed % 16 == 0});
}

/* Worlds until an interleaving has come about so often; each ends well. */
static void until(const uint64_t *count, uint64_t enough, struct world_options o)
{
    const uint64_t before = *count;
    for (o.seed = 2000001; *count < before + enough; o.seed++) {
        assert_true(o.seed < 2200000);
        play(&o);
    }
}

/* What is counted is told by wakes. */
static const struct world_options by_wakes = {.wakes_only = true};

/* It used to be lost until a restart. */
static void a_resume_that_comes_while_a_paused_run_leaves(void **state)
{
    until(&stats.resumed_leaving, 20, by_wakes);
}

/* It used to begin again, from a journal that did not have that commit yet. */
static void a_pause_that_ends_while_a_commit_is_at_a_slow_disk(void **state)
{
    until(&stats.began_early, 20, by_wakes);
}

/* The process falls three times in a row while it runs one: that is parked, not run again until somebody
 * resumes it, and then ends well like the others. */
static void deaths_in_a_row(void **state)
{
    until(&stats.crash_parked, 20, (struct world_options){.is_deadly = true});
}

/* That the dice reach what they are there for; also a summary for people. */
static void everything_happened(void **state)
{
    if (from_environment("LIMPET_FLOW_SEED", 0))
        return;
    const struct {
        const char *name;
        uint64_t count;
    } counts[] = {{"worlds", stats.worlds},
                  {"events", stats.events},
                  {"children", stats.children},
                  {"deaths", stats.deaths},
                  {"with the power cut", stats.power_cuts},
                  {"owners replaced while they ran", stats.takeovers},
                  {"wakes lost", stats.lost_wakes},
                  {"reads that failed", stats.failed_reads},
                  {"commits that failed", stats.failed_commits},
                  {"commits refused", stats.refused},
                  {"stalls of the disk", stats.stalls},
                  {"commits of the module's database that failed", stats.sql_failures},
                  {"waits at its gate", stats.gates},
                  {"tails read from it", stats.tails},
                  {"suspensions", stats.suspended},
                  {"snapshots", stats.snapshots},
                  {"replays", stats.replays},
                  {"replays compared", stats.verified},
                  {"slices used up", stats.slices},
                  {"guests that stood still", stats.stood},
                  {"evictions", stats.evicted},
                  {"signals", stats.signals},
                  {"pauses", stats.paused},
                  {"resumes", stats.resumed},
                  {"cancellations", stats.cancelled},
                  {"retries", stats.retried},
                  {"forks", stats.forked},
                  {"migrations of one", stats.migrated},
                  {"checks", stats.checked},
                  {"deletions", stats.deleted},
                  {"alarms that went off", stats.alarms},
                  {"deaths noted for one", stats.crashed},
                  {"parked after three deaths", stats.crash_parked}};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        print_message("# %10" PRIu64 " %s\n", counts[i].count, counts[i].name);
        if (from_environment("LIMPET_FLOW_SEEDS", SEEDS) >= SEEDS)
            assert_true(counts[i].count > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_worlds),
        cmocka_unit_test(a_resume_that_comes_while_a_paused_run_leaves),
        cmocka_unit_test(a_pause_that_ends_while_a_commit_is_at_a_slow_disk),
        cmocka_unit_test(deaths_in_a_row),
        cmocka_unit_test(everything_happened),
    };
    if (!getenv("LIMPET_FLOW_SEED")) /* what goes wrong here goes wrong on purpose */
        log_set_level((enum log_level)(LOG_ERROR + 1));
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("flow/simulation", tests, NULL, NULL);
}
