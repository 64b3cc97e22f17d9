/* SPDX-License-Identifier: Apache-2.0
 *
 * Random workflows in a world where everything goes wrong (sim/world.h), each of a seed: what its
 * code, its store, the module's database and the servers out there have in the end must be what an
 * independent reading of its journal says (sim/model.h), and for pure programs also what a run
 * without any trouble gives.
 *
 *     LIMPET_SIM_SEEDS=n   how many seeds (20,000; 2,000 with sanitizers)
 *     LIMPET_SIM_SEED=n    only this one, and say what happens */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sim/world.h"

enum {
#ifdef __SANITIZE_ADDRESS__
    SEEDS = 2000,
    EXHAUSTIVE_PROGRAMS = 30,
#else
    SEEDS = 20000,
    EXHAUSTIVE_PROGRAMS = 200,
#endif
    EXHAUSTIVE_BOUNDARIES_MAX = 400,
};

static struct world_stats stats;

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    uint64_t value;
    return text && slice_to_u64(slice_cstr(text), &value) ? value : otherwise;
}

static void play(const struct world_options *o, struct world_result *r)
{
    world_play(o, &stats, r);
    if (!r->failure)
        return;
    print_message("# seed %" PRIu64 " (boundary %" PRIu64 "): %s\n", o->seed, o->crash_at,
                  r->failure);
    print_message("# again, with all that happens: LIMPET_SIM_SEED=%" PRIu64
                  " LIMPET_SIM_BOUNDARY=%" PRIu64 " test_durable_simulation\n",
                  o->seed, o->crash_at);
    fail();
}

static void play_seed(uint64_t seed, uint64_t crash_at, bool is_loud)
{
    struct world_result result, calm;
    struct world_options o = {.seed = seed,
                              .crash_at = crash_at,
                              .crashes_max = seed % 4 == 0 ? 40 : 8,
                              .is_pure = seed % 3 == 0,
                              .is_prompt = seed % 2 == 0,
                              .is_loud = is_loud};
    play(&o, &result);
    if (!o.is_pure || result.hit_limit)
        return;
    o.is_calm = true;
    o.crash_at = o.crashes_max = 0;
    play(&o, &calm);
    if (calm.status == result.status && calm.value == result.value &&
        calm.effects == result.effects)
        return;
    print_message("# seed %" PRIu64 ": another result than without trouble\n", seed);
    fail();
}

static void random_deaths(void **state)
{
    const uint64_t one = from_environment("LIMPET_SIM_SEED", 0);
    const uint64_t seeds = from_environment("LIMPET_SIM_SEEDS", SEEDS);
    if (one)
        play_seed(one, from_environment("LIMPET_SIM_BOUNDARY", 0), true);
    for (uint64_t seed = 1; seed <= seeds && !one; seed++)
        play_seed(seed, 0, false);
}

/* One death at each boundary of a run. */
static void a_death_at_every_boundary(void **state)
{
    if (from_environment("LIMPET_SIM_SEED", 0))
        return;
    for (uint64_t seed = 1000001; seed <= 1000000 + EXHAUSTIVE_PROGRAMS; seed++) {
        struct world_result result = {.boundaries = 1};
        const struct world_options o = {
            .seed = seed, .crash_at = UINT64_MAX, .is_pure = seed % 3 == 0};
        play(&o, &result);
        uint64_t last = result.boundaries;
        if (last > EXHAUSTIVE_BOUNDARIES_MAX)
            last = EXHAUSTIVE_BOUNDARIES_MAX;
        for (uint64_t at = 1; at <= last; at++)
            play_seed(seed, at, false);
    }
}

/* That the dice reach what they are there for; also a summary for people. */
static void everything_happened(void **state)
{
    if (from_environment("LIMPET_SIM_SEED", 0))
        return;
    const struct {
        const char *name;
        uint64_t count;
    } counts[] = {{"runs", stats.runs},
                  {"records", stats.records},
                  {"boundaries", stats.boundaries},
                  {"crashes", stats.crashes},
                  {"opens", stats.opens},
                  {"tail records replayed", stats.replayed_tails},
                  {"states restored", stats.restored},
                  {"of them with records after", stats.restored_old},
                  {"damaged states refused", stats.refused_states},
                  {"batches refused", stats.refused_batches},
                  {"suspensions", stats.suspended},
                  {"cancellations", stats.cancelled},
                  {"time-outs", stats.timeouts},
                  {"failed attempts", stats.retries},
                  {"bodies that outlived their scope", stats.zombies},
                  {"signals", stats.signals},
                  {"signals passed again", stats.doubles},
                  {"waits withdrawn", stats.withdrawn},
                  {"of them with a signal there", stats.withdrawn_late},
                  {"checks", stats.checks},
                  {"checks of other code that diverged", stats.diverged}};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        print_message("# %10" PRIu64 " %s\n", counts[i].count, counts[i].name);
        if (from_environment("LIMPET_SIM_SEEDS", SEEDS) >= SEEDS)
            assert_true(counts[i].count > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_deaths),
        cmocka_unit_test(a_death_at_every_boundary),
        cmocka_unit_test(everything_happened),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("durable/simulation", tests, NULL, NULL);
}
