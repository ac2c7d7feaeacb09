/* Seats for windows in work. See seats.h. */
#include "recog/seats.h"

#include <pthread.h>

#include "base/mem.h"

struct recog_seats {
    const struct whisper_model *model;
    struct recog_cells *cells;
    pthread_mutex_t lock; /* over what follows */
    struct recog_seat *spare;
    int n_free;
};

static void seat_destroy(struct recog_seat *seat)
{
    if (!seat)
        return;
    whisper_window_destroy(seat->window);
    au_free(seat->mel);
    au_free(seat);
}

static struct recog_seat *seat_create(const struct whisper_model *model)
{
    const struct whisper_dims *dims = whisper_model_dims(model);
    struct recog_seat *seat = au_calloc(1, sizeof(*seat));
    if (!seat)
        return NULL;
    seat->mel = au_alloc_array(2 * (size_t)dims->n_audio_ctx * (size_t)dims->n_mels, sizeof(float));
    if (!seat->mel || whisper_window_create(model, &seat->window)) {
        seat_destroy(seat);
        return NULL;
    }
    return seat;
}

enum auricle_error recog_seats_create(const struct whisper_model *model, struct recog_cells *cells,
                                      int n, struct recog_seats **out)
{
    struct recog_seats *seats = au_calloc(1, sizeof(*seats));
    if (!seats)
        return AURICLE_E_NOMEM;
    pthread_mutex_init(&seats->lock, NULL);
    seats->model = model;
    seats->cells = cells;
    seats->n_free = n;
    *out = seats;
    return AURICLE_OK;
}

void recog_seats_destroy(struct recog_seats *seats)
{
    if (!seats)
        return;
    while (seats->spare) {
        struct recog_seat *seat = seats->spare;
        seats->spare = seat->next;
        seat_destroy(seat);
    }
    pthread_mutex_destroy(&seats->lock);
    au_free(seats);
}

/* A place, and a block for it where one was given back; false when all places are taken. */
static bool take_place(struct recog_seats *seats, struct recog_seat **spare)
{
    pthread_mutex_lock(&seats->lock);
    bool any = seats->n_free > 0;
    *spare = any ? seats->spare : NULL;
    if (*spare)
        seats->spare = (*spare)->next;
    seats->n_free -= any;
    pthread_mutex_unlock(&seats->lock);
    return any;
}

static void give_place(struct recog_seats *seats, struct recog_seat *spare)
{
    pthread_mutex_lock(&seats->lock);
    if (spare) {
        spare->next = seats->spare;
        seats->spare = spare;
    }
    seats->n_free++;
    pthread_mutex_unlock(&seats->lock);
}

enum auricle_error recog_seats_take(struct recog_seats *seats, struct recog_claim *claim,
                                    size_t n_cells, struct recog_seat **out)
{
    struct recog_seat *seat = NULL;
    bool place = take_place(seats, &seat);
    /* Without a place the claim cannot be met, and waits in the queue all the same. */
    if (!recog_cells_claim(seats->cells, claim, place ? n_cells : SIZE_MAX)) {
        if (place)
            give_place(seats, seat);
        return AURICLE_E_AGAIN;
    }
    if (!seat)
        seat = seat_create(seats->model);
    if (!seat) {
        recog_cells_unreserve(seats->cells, n_cells);
        give_place(seats, NULL);
        return AURICLE_E_NOMEM;
    }
    seat->n_cells = n_cells;
    *out = seat;
    return AURICLE_OK;
}

void recog_seats_give(struct recog_seats *seats, struct recog_seat *seat)
{
    if (!seat)
        return;
    size_t n_cells = seat->n_cells; /* another may have the seat in a moment */
    give_place(seats, seat);
    recog_cells_unreserve(seats->cells, n_cells);
}
