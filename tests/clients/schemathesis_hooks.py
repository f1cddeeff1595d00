"""schemathesis loads this, see test_schemathesis.py.

Any float32 is a good number, but the product of two large ones is not finite, and no schema says where that
begins. So this makes numbers that fit into a float32 moderate before they are sent. Those that do not fit are sent
as they are, to be refused."""

import schemathesis

LARGEST = 3.4028235e38


def moderate(value):
    if isinstance(value, float) and 1e6 < abs(value) <= LARGEST:
        return value % 1000
    if isinstance(value, int) and not isinstance(value, bool) and 1e6 < abs(value) <= LARGEST:
        return value % 1000
    if isinstance(value, list):
        return [moderate(one) for one in value]
    if isinstance(value, dict):
        return {name: moderate(one) for name, one in value.items()}
    return value


@schemathesis.hook
def before_call(context, case, kwargs):
    if isinstance(case.body, (dict, list)):
        case.body = moderate(case.body)
