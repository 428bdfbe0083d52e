"""Refusals that only the front door knows.

TaskRejected
├── UnknownPath        404  no such route
├── WrongMethod        405
├── BodyTooSlow        408  the body did not come in time
├── NotOffered         400  a field of the API that is not implemented, by name
├── Superseded         409  a newer request of the same session replaced this one
├── CancelledElsewhere 409  somebody cancelled the task by its id
├── ShuttingDown       503  this ingress takes nothing new
├── OutOfReach         503  Kafka or Redis did not take the request
└── OurMistake         500  nobody foresaw it
ClientLeft                  nobody reads the answer any more; no answer is written
"""

from shared.domain.errors import CatoError, TaskRejected


class UnknownPath(TaskRejected):
    status = 404
    code = "unknown_url"


class WrongMethod(TaskRejected):
    status = 405
    code = "method_not_allowed"


class BodyTooSlow(TaskRejected):
    status = 408
    type = "timeout_error"
    code = "request_timeout"


class NotOffered(TaskRejected):
    code = "unsupported_parameter"


class Superseded(TaskRejected):
    status = 409
    type = "superseded_error"
    code = "superseded"


class CancelledElsewhere(TaskRejected):
    status = 409
    type = "cancelled_error"
    code = "cancelled"


class ShuttingDown(TaskRejected):
    status = 503
    type = "server_error"
    code = "shutting_down"


class OutOfReach(TaskRejected):
    status = 503
    type = "server_error"
    code = "unavailable"


class OurMistake(TaskRejected):
    status = 500
    type = "server_error"
    code = "internal_error"


class ClientLeft(CatoError):
    """The connection is gone; stop quietly, and cancel the task."""
