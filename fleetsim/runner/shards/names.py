"""Names: what names mean to the devices, when several processes have to know."""

from collections.abc import Callable, Iterable

from fleetsim.runner.shards.messages import Override, Restore
from fleetsim.transport.resolver import Resolver


class SharedNames:
    """Changes what names mean in every shard.

    Args:
        own: Resolver of the parent; it judges whether a change makes sense.
        tell: Tells every shard.
    """

    def __init__(
        self, own: Resolver, tell: Callable[[Override | Restore], None]
    ) -> None:
        self._own = own
        self._tell = tell

    def override(
        self,
        host: str,
        addresses: Iterable[str] | None,
        *,
        port: int | None = None,
        to_port: int | None = None,
    ) -> None:
        """See :meth:`fleetsim.transport.resolver.Resolver.override`."""
        chosen = None if addresses is None else tuple(addresses)
        self._own.override(host, chosen, port=port, to_port=to_port)
        self._tell(Override(host, chosen, port, to_port))

    def restore(self, host: str, *, port: int | None = None) -> None:
        """See :meth:`fleetsim.transport.resolver.Resolver.restore`."""
        self._own.restore(host, port=port)
        self._tell(Restore(host, port))
