/* Seats for windows in work. See seats.h. */
#include "recog/seats.h"

#include <pthread.h>

#include "base/mem.h"

struct recog_seats {
    const struct whisper_model *model;
    struct recog_cells *cells;
    pthread_mutex_t lock; /* over what follows */
    struct recog_seat *spare;
    int n_spare, keep;
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
                                      int keep, struct recog_seats **out)
{
    struct recog_seats *seats = au_calloc(1, sizeof(*seats));
    if (!seats)
        return AURICLE_E_NOMEM;
    pthread_mutex_init(&seats->lock, NULL);
    seats->model = model;
    seats->cells = cells;
    seats->keep = keep;
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

static struct recog_seat *take_spare(struct recog_seats *seats)
{
    pthread_mutex_lock(&seats->lock);
    struct recog_seat *seat = seats->spare;
    if (seat) {
        seats->spare = seat->next;
        seats->n_spare--;
    }
    pthread_mutex_unlock(&seats->lock);
    return seat;
}

enum auricle_error recog_seats_take(struct recog_seats *seats, struct recog_claim *claim,
                                    size_t n_cells, struct recog_seat **out)
{
    if (!recog_cells_claim(seats->cells, claim, n_cells))
        return AURICLE_E_AGAIN;
    struct recog_seat *seat = take_spare(seats);
    if (!seat)
        seat = seat_create(seats->model);
    if (!seat) {
        recog_cells_unreserve(seats->cells, n_cells);
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
    recog_cells_unreserve(seats->cells, seat->n_cells);
    pthread_mutex_lock(&seats->lock);
    bool kept = seats->n_spare < seats->keep;
    if (kept) {
        seat->next = seats->spare;
        seats->spare = seat;
        seats->n_spare++;
    }
    pthread_mutex_unlock(&seats->lock);
    if (!kept)
        seat_destroy(seat);
}
