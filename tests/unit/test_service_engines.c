/* service: the pool of loaded models. Models are links to the bundled one, so that each load is
 * real and takes some milliseconds.                                                              */
#include "support/support.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "service/engines/engines.h"
#include "service/metrics/metrics.h"

/* ---- A folder of models, and somebody who waits for one ------------------------------------- */

struct place {
    char *folder;
    struct service_metrics *metrics;
    struct service_engines *pool;
};

static void install(const struct place *p, const char *name)
{
    char *from = au_test_source("models/nano"), *to = au_path_join(p->folder, name);
    assert_int_equal(symlink(from, to), 0);
    au_free(from);
    au_free(to);
}

static struct service_engines_config config_of(const struct place *p)
{
    return (struct service_engines_config){
        .model = "one",
        .model_dir = p->folder,
        .cache_folder = "off",
        .threads = 1,
        .max_windows = 1,
        .max_beams = 1,
        .ttl_seconds = -1,
        .metrics = p->metrics,
    };
}

/* Models "one" to "four"; the pool is the test's to start. */
static struct place new_place(void)
{
    struct place p = {.folder = au_test_scratch_folder()};
    const char *const names[] = {"one", "two", "three", "four"};
    for (size_t i = 0; i < 4; i++)
        install(&p, names[i]);
    assert_int_equal(service_metrics_create(&p.metrics), AURICLE_OK);
    return p;
}

static void start(struct place *p, const struct service_engines_config *config)
{
    struct au_fault fault = {0};
    if (service_engines_create(config, &p->pool, &fault) != AURICLE_OK)
        fail_msg("%s", fault.text);
}

static void end(struct place *p)
{
    service_engines_destroy(p->pool);
    service_metrics_destroy(p->metrics);
    au_test_scratch_remove(p->folder);
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t told;
    int n_calls;
    struct service_engine *lease;
    struct au_fault fault;
    pthread_t thread; /* that called */
};

static void waiter_init(struct waiter *w)
{
    memset(w, 0, sizeof *w);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->told, NULL);
}

static void on_ready(void *context, struct service_engine *lease, const struct au_fault *fault)
{
    struct waiter *w = context;
    pthread_mutex_lock(&w->lock);
    w->n_calls++;
    w->lease = lease;
    w->fault = *fault;
    w->thread = pthread_self();
    pthread_cond_signal(&w->told);
    pthread_mutex_unlock(&w->lock);
}

static int n_calls(struct waiter *w)
{
    pthread_mutex_lock(&w->lock);
    int n = w->n_calls;
    pthread_mutex_unlock(&w->lock);
    return n;
}

static void wait_for(struct waiter *w)
{
    pthread_mutex_lock(&w->lock);
    while (!w->n_calls)
        pthread_cond_wait(&w->told, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

static void ask(struct place *p, const char *name, struct waiter *w)
{
    waiter_init(w);
    service_engines_acquire(p->pool, name, on_ready, w);
}

static struct service_engine *get(struct place *p, const char *name)
{
    struct waiter w;
    ask(p, name, &w);
    wait_for(&w);
    if (!w.lease)
        fail_msg("%s: %s", name, w.fault.text);
    assert_int_equal(n_calls(&w), 1);
    return w.lease;
}

static void use(struct place *p, const char *name)
{
    service_engine_release(get(p, name));
}

static enum auricle_error refusal(struct place *p, const char *name, struct au_fault *fault)
{
    struct waiter w;
    ask(p, name, &w);
    wait_for(&w);
    assert_null(w.lease);
    *fault = w.fault;
    return w.fault.code;
}

static struct service_engine_entry entry(struct place *p, const char *name)
{
    struct service_engine_entry *entries, found = {.name = ""};
    size_t n;
    assert_int_equal(service_engines_list(p->pool, &entries, &n), AURICLE_OK);
    for (size_t i = 0; i < n; i++)
        if (au_str_equal(entries[i].name, name))
            found = entries[i];
    au_free(entries);
    assert_string_equal(found.name, name);
    return found;
}

static bool is_loaded(struct place *p, const char *name)
{
    return entry(p, name).loaded;
}

/* Freeing is the loader's work: wait until it has done it. */
static void wait_until_gone(struct place *p, const char *name)
{
    int64_t give_up = au_now_ns() + 20000000000;
    while (is_loaded(p, name)) {
        assert_true(au_now_ns() < give_up);
        sched_yield();
    }
}

/* ---- Names ---------------------------------------------------------------------------------- */

static void the_default_has_many_names(void **state)
{
    (void)state;
    struct place p = new_place();
    struct service_engines_config config = config_of(&p);
    start(&p, &config);
    const char *const names[] = {NULL,
                                 "",
                                 "one",
                                 "whisper-1",
                                 "gpt-4o-transcribe",
                                 "gpt-4o-mini-transcribe",
                                 "gpt-4o-mini-transcribe-2025-12-15",
                                 "gpt-4o-transcribe-diarize",
                                 "gpt-transcribe"};
    struct auricle_engine *first = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct waiter w;
        ask(&p, names[i], &w);
        assert_int_equal(n_calls(&w), 1); /* at once, here */
        assert_true(pthread_equal(w.thread, pthread_self()));
        assert_string_equal(service_engine_name(w.lease), "one");
        first = first ? first : service_engine_get(w.lease);
        assert_ptr_equal(service_engine_get(w.lease), first);
        service_engine_release(w.lease);
    }
    struct service_engine_entry e = entry(&p, "one");
    assert_true(e.is_default && e.loaded && !e.pinned);
    assert_int_equal(e.in_use, 0);
    assert_true(e.bytes > 1000000 && e.installed_unix_s > 1600000000);
    e = entry(&p, "two");
    assert_true(!e.is_default && !e.loaded && e.bytes > 1000000);
    end(&p);
}

static void a_client_can_name_no_path(void **state)
{
    (void)state;
    struct place p = new_place();
    struct service_engines_config config = config_of(&p);
    start(&p, &config);
    char *nano = au_test_source("models/nano");
    char *relative = au_sprintf("../%s/two", au_path_name(p.folder));
    const char *const names[] = {nano,  relative, "./two",       "two/",
                                 "..",  ".",      "/etc/passwd", "two/model.safetensors",
                                 "vad", "twO",    "two\n"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct au_fault fault = {0};
        assert_int_equal(refusal(&p, names[i], &fault), AURICLE_E_NOT_FOUND);
        assert_null(strstr(fault.text, p.folder)); /* nor learns where models are kept */
        assert_int_equal(service_engines_check(p.pool, names[i], &fault), AURICLE_E_NOT_FOUND);
    }
    au_free(nano);
    au_free(relative);
    end(&p);
}

static void an_unknown_name_is_told_what_there_is(void **state)
{
    (void)state;
    struct place p = new_place();
    struct service_engines_config config = config_of(&p);
    start(&p, &config);
    struct au_fault fault = {0};
    assert_int_equal(refusal(&p, "threee", &fault), AURICLE_E_NOT_FOUND);
    assert_non_null(strstr(fault.text, "did you mean three?"));
    assert_non_null(strstr(fault.text, "four"));
    assert_int_equal(refusal(&p, "openai/whisper-large-v3", &fault), AURICLE_E_NOT_FOUND);
    assert_non_null(strstr(fault.text, "auricle models pull large-v3"));
    assert_int_equal(service_engines_check(p.pool, "three", &fault), AURICLE_OK);
    assert_int_equal(service_engines_check(p.pool, NULL, &fault), AURICLE_OK);
    assert_false(is_loaded(&p, "three")); /* asking loads nothing */
    end(&p);
}

static void repositories_and_second_names_are_understood(void **state)
{
    (void)state;
    struct place p = new_place();
    install(&p, "large-v3");
    struct service_engines_config config = config_of(&p);
    start(&p, &config);
    struct service_engine *a = get(&p, "openai/whisper-large-v3"), *b = get(&p, "large");
    assert_string_equal(service_engine_name(a), "large-v3");
    assert_ptr_equal(a, b);
    assert_int_equal(entry(&p, "large-v3").in_use, 2);
    service_engine_release(a);
    service_engine_release(b);
    end(&p);
}

/* ---- Loading -------------------------------------------------------------------------------- */

static void many_ask_and_it_is_loaded_once(void **state)
{
    (void)state;
    struct place p = new_place();
    struct service_engines_config config = config_of(&p);
    start(&p, &config);
    struct waiter w[8];
    for (int i = 0; i < 8; i++)
        ask(&p, "two", &w[i]);
    for (int i = 0; i < 8; i++) {
        wait_for(&w[i]);
        assert_ptr_equal(w[i].lease, w[0].lease);
    }
    assert_int_equal(entry(&p, "two").in_use, 8);
    for (int i = 0; i < 8; i++)
        service_engine_release(w[i].lease);
    struct au_buf text;
    au_buf_init(&text, 0);
    service_metrics_write(p.metrics, &text);
    assert_non_null(strstr(text.data, "\nauricle_model_loads_total 2\n"));
    assert_non_null(strstr(text.data, "\nauricle_models_loaded 2\n"));
    au_buf_deinit(&text);
    end(&p);
}

static void the_longest_unused_goes(void **state)
{
    (void)state;
    struct place p = new_place();
    struct service_engines_config config = config_of(&p);
    start(&p, &config);
    use(&p, "two");
    use(&p, "one");
    use(&p, "three");
    wait_until_gone(&p, "two");
    assert_true(is_loaded(&p, "one") && is_loaded(&p, "three"));
    use(&p, "two");
    wait_until_gone(&p, "one");
    assert_true(is_loaded(&p, "two") && is_loaded(&p, "three"));
    end(&p);
}

static void what_is_in_use_or_pinned_stays(void **state)
{
    (void)state;
    struct place p = new_place();
    struct service_engines_config config = config_of(&p);
    config.pinned = "three";
    start(&p, &config);
    assert_true(entry(&p, "three").pinned && is_loaded(&p, "one"));
    struct service_engine *two = get(&p, "two");
    wait_until_gone(&p, "one");
    assert_true(is_loaded(&p, "two") && is_loaded(&p, "three"));

    struct waiter w; /* no place is free: it waits */
    ask(&p, "four", &w);
    use(&p, "three"); /* what is there can be had meanwhile */
    assert_int_equal(n_calls(&w), 0);
    service_engine_release(two);
    wait_for(&w);
    assert_string_equal(service_engine_name(w.lease), "four");
    wait_until_gone(&p, "two");
    assert_true(is_loaded(&p, "three"));
    service_engine_release(w.lease);
    end(&p);
}

static void nothing_can_be_loaded_beside_pinned_ones(void **state)
{
    (void)state;
    struct place p = new_place();
    struct service_engines_config config = config_of(&p);
    struct au_fault fault = {0};
    config.max_loaded = 1;
    config.pinned = "one,two";
    assert_int_equal(service_engines_create(&config, &p.pool, &fault), AURICLE_E_INVALID);
    config.pinned = "one";
    start(&p, &config);
    assert_int_equal(refusal(&p, "two", &fault), AURICLE_E_AGAIN);
    assert_non_null(strstr(fault.text, "pinned"));
    use(&p, NULL);
    end(&p);
}

static void the_byte_budget_is_kept(void **state)
{
    (void)state;
    struct place p = new_place();
    struct service_engines_config config = config_of(&p);
    struct au_fault fault = {0};
    start(&p, &config);
    uint64_t each = entry(&p, "one").bytes;
    service_engines_destroy(p.pool);

    config.max_bytes = each / 2;
    assert_int_equal(service_engines_create(&config, &p.pool, &fault), AURICLE_E_UNSUPPORTED);

    config.max_bytes = each + each / 2; /* one at a time */
    start(&p, &config);
    use(&p, "two");
    assert_false(is_loaded(&p, "one"));
    struct service_engine *two = get(&p, "two");
    assert_int_equal(refusal(&p, "three", &fault), AURICLE_E_AGAIN);
    assert_non_null(strstr(fault.text, "MB"));
    assert_true(is_loaded(&p, "two") && !is_loaded(&p, "three"));
    service_engine_release(two);
    use(&p, "three");
    end(&p);
}

static void the_unused_goes_with_time(void **state)
{
    (void)state;
    struct place p = new_place();
    struct service_engines_config config = config_of(&p);
    config.ttl_seconds = 0.02;
    start(&p, &config);
    wait_until_gone(&p, "one");
    struct service_engine *one = get(&p, "one"), *two = get(&p, "two");
    service_engine_release(two);
    wait_until_gone(&p, "two");
    assert_true(is_loaded(&p, "one"));
    service_engine_release(one);
    wait_until_gone(&p, "one");
    end(&p);

    p = new_place();
    config = config_of(&p);
    config.ttl_seconds = 0;
    start(&p, &config);
    use(&p, "two");
    wait_until_gone(&p, "two");
    wait_until_gone(&p, "one");
    end(&p);
}

/* ---- Trouble -------------------------------------------------------------------------------- */

static void copy_file(const char *from_folder, const char *to_folder, const char *name, bool damage)
{
    struct au_fault fault = {0};
    char *from = au_path_join(from_folder, name), *data;
    size_t bytes;
    assert_int_equal(au_file_read(from, 1u << 30, &data, &bytes, &fault), AURICLE_OK);
    if (damage)
        memset(data, 0xff, 8); /* the length of the header */
    au_free(au_test_write(to_folder, name, data, bytes));
    au_free(data);
    au_free(from);
}

/* Says which file it is and what its digest should be. */
static void a_damaged_model_is_named(void **state)
{
    (void)state;
    struct place p = new_place();
    char *nano = au_test_source("models/nano"), *bad = au_path_join(p.folder, "bad");
    struct au_fault fault = {0};
    assert_int_equal(au_dir_make(bad, &fault), AURICLE_OK);
    const char *const texts[] = {"config.json", "vocab.json", "merges.txt"};
    for (size_t i = 0; i < 3; i++)
        copy_file(nano, bad, texts[i], false);
    copy_file(nano, bad, "model.safetensors", true);
    const char sum[] =
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef  model.safetensors\n";
    au_free(au_test_write(bad, "SHA256SUMS", sum, sizeof sum - 1));

    struct service_engines_config config = config_of(&p);
    start(&p, &config);
    assert_int_equal(refusal(&p, "bad", &fault), AURICLE_E_FORMAT);
    assert_non_null(strstr(fault.text, "model.safetensors"));
    assert_non_null(strstr(fault.text, "0123456789abcdef0123456789abcdef"));
    use(&p, NULL); /* nobody else is touched */
    use(&p, "two");
    au_free(nano);
    au_free(bad);
    end(&p);
}

static void those_who_wait_are_told_of_the_end(void **state)
{
    (void)state;
    struct place p = new_place();
    struct service_engines_config config = config_of(&p);
    config.max_loaded = 1;
    config.ttl_seconds = 0;
    start(&p, &config);
    struct service_engine *one = get(&p, "one");
    struct waiter w[3];
    for (int i = 0; i < 3; i++)
        ask(&p, i == 1 ? "three" : "two", &w[i]);
    service_engine_release(one);
    service_engines_destroy(p.pool); /* whether the loader came to them or not */
    p.pool = NULL;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(n_calls(&w[i]), 1);
        assert_true(w[i].lease || w[i].fault.code == AURICLE_E_CANCELLED);
    }
    end(&p);
}

struct crowd {
    struct place *place;
    unsigned seed;
};

static void *come_and_go(void *context)
{
    struct crowd *c = context;
    static const char *const names[] = {"one", "two", "three", "four"};
    for (int i = 0; i < 12; i++) {
        struct waiter w;
        c->seed = c->seed * 1664525 + 1013904223;
        ask(c->place, names[c->seed >> 30], &w);
        wait_for(&w);
        if (!w.lease || !au_str_equal(service_engine_name(w.lease), names[c->seed >> 30]))
            return "wrong model";
        service_engine_release(w.lease);
    }
    return NULL;
}

static void a_crowd_of_threads_is_served(void **state)
{
    (void)state;
    struct place p = new_place();
    struct service_engines_config config = config_of(&p);
    config.ttl_seconds = 0.005;
    start(&p, &config);
    pthread_t threads[4];
    struct crowd crowd[4];
    for (unsigned i = 0; i < 4; i++) {
        crowd[i] = (struct crowd){&p, 17 + i};
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &crowd[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *complaint;
        pthread_join(threads[i], &complaint);
        assert_null(complaint);
    }
    end(&p);
}

/* Whatever allocation of asking fails, the answer comes, once. */
static void asking_survives_a_lack_of_memory(void **state)
{
    (void)state;
    struct place p = new_place();
    struct service_engines_config config = config_of(&p);
    start(&p, &config);
    use(&p, "two");
    struct au_fault fault = {0};
    for (uint64_t i = 0; i < 12; i++) {
        au_mem_fail_at(i, false);
        enum auricle_error error = service_engines_check(p.pool, "three", &fault);
        au_mem_fail_never();
        assert_true(error == AURICLE_OK || error == AURICLE_E_NOMEM ||
                    error == AURICLE_E_NOT_FOUND);
        struct waiter w;
        au_mem_fail_at(i, false);
        ask(&p, "no-such-model", &w);
        au_mem_fail_never();
        assert_int_equal(n_calls(&w), 1);
        assert_null(w.lease);
    }
    end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_has_many_names),
        cmocka_unit_test(a_client_can_name_no_path),
        cmocka_unit_test(an_unknown_name_is_told_what_there_is),
        cmocka_unit_test(repositories_and_second_names_are_understood),
        cmocka_unit_test(many_ask_and_it_is_loaded_once),
        cmocka_unit_test(the_longest_unused_goes),
        cmocka_unit_test(what_is_in_use_or_pinned_stays),
        cmocka_unit_test(nothing_can_be_loaded_beside_pinned_ones),
        cmocka_unit_test(the_byte_budget_is_kept),
        cmocka_unit_test(the_unused_goes_with_time),
        cmocka_unit_test(a_damaged_model_is_named),
        cmocka_unit_test(those_who_wait_are_told_of_the_end),
        cmocka_unit_test(a_crowd_of_threads_is_served),
        cmocka_unit_test(asking_survives_a_lack_of_memory),
    };
    au_log_init(AU_LOG_OFF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
