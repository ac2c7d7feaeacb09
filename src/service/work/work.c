/* Works: their counting, and the loan of a model. See work.h.
 *
 * A model may be had long after its work has ended, so who releases the lease is settled by one
 * compare and exchange: the answer finds `pending` and leaves it to the scheduler, or finds
 * `abandoned` and releases it itself.                                                            */
#include "service/work/work.h"

#include "base/clock.h"
#include "base/str.h"
#include "service/work/loan.h"
#include "service/work/scheduler.h"

void service_work_init(struct service_work *work, struct service_scheduler *scheduler,
                       const struct service_work_ops *ops, enum service_priority priority,
                       const char *id, const char *model)
{
    work->ops = ops;
    work->scheduler = scheduler;
    work->priority = priority;
    work->started_ns = au_now_ns();
    work->shown_total = -1;
    atomic_init(&work->refs, 1);
    atomic_init(&work->poked, false);
    atomic_init(&work->unseen, false);
    atomic_init(&work->cancelled, false);
    atomic_init(&work->loan, SERVICE_LOAN_PENDING);
    au_str_copy(work->id, sizeof(work->id), id ? id : "");
    au_str_copy(work->model, sizeof(work->model), model ? model : "");
}

void service_work_ref(struct service_work *work)
{
    atomic_fetch_add(&work->refs, 1);
}

void service_work_unref(struct service_work *work)
{
    if (atomic_fetch_sub(&work->refs, 1) == 1)
        work->ops->destroy(work);
}

static void had(void *context, struct service_engine *lease, const struct au_fault *fault)
{
    struct service_work *work = context;
    int pending = SERVICE_LOAN_PENDING;
    work->lease = lease;
    work->leased_ns = au_now_ns();
    if (!lease && fault)
        work->loan_fault = *fault;
    if (atomic_compare_exchange_strong(&work->loan, &pending,
                                       lease ? SERVICE_LOAN_HELD : SERVICE_LOAN_REFUSED))
        service_work_poke(work);
    else if (lease)
        service_engine_release(lease);
    service_work_unref(work);
}

void service_loan_ask(struct service_work *work, struct service_engines *engines, const char *model)
{
    service_work_ref(work);
    service_engines_acquire(engines, model, had, work);
}

void service_loan_end(struct service_work *work)
{
    int pending = SERVICE_LOAN_PENDING;
    if (!atomic_compare_exchange_strong(&work->loan, &pending, SERVICE_LOAN_ABANDONED) &&
        pending == SERVICE_LOAN_HELD) {
        atomic_store(&work->loan, SERVICE_LOAN_ABANDONED);
        service_engine_release(work->lease);
    }
}

void service_work_name_model(const struct service_work *work, struct auricle_message *message)
{
    struct au_fault fault = {.code = AURICLE_E_UNSUPPORTED};
    au_str_copy(fault.text, sizeof(fault.text), message->text);
    au_fault_prefix(&fault, service_engine_name(work->lease));
    au_str_copy(message->text, sizeof(message->text), fault.text);
}
