/* The loan of a model to a work: asked for by whoever starts it, ended by the scheduler. */
#ifndef SERVICE_LOAN_H
#define SERVICE_LOAN_H

#include "service/work/work.h"

enum service_loan { /* of service_work.loan */
                    SERVICE_LOAN_PENDING,
                    SERVICE_LOAN_HELD,
                    SERVICE_LOAN_REFUSED,
                    SERVICE_LOAN_ABANDONED
};

void service_loan_ask(struct service_work *work, struct service_engines *engines,
                      const char *model);
/* Give the lease back, now or as soon as it comes. The scheduler's thread; twice is fine. */
void service_loan_end(struct service_work *work);

#endif
