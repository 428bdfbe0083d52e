"""What Kafka is told before it starts."""

from hypothesis import given
from hypothesis import strategies as st

from deploy.local.real_kafka import cluster_id


@given(seed=st.binary(min_size=16, max_size=16))
def test_no_cluster_is_named_like_an_option(seed: bytes) -> None:
    name = cluster_id(seed)

    assert not name.startswith("-")
    assert len(name) == 22
