using Blanket.Core.Domains;

namespace Blanket.Backends;

public struct PinnedGrant
{
    public ulong Frame;
    public uint Reference;
    public bool Writable;

    public bool Covers(uint offset, uint length) => offset + length <= 4096;
}

public abstract class GrantPin
{
    public static GrantPin? Current;

    public static int TryPin(Domain granter, uint reference, bool writable, out PinnedGrant pin) =>
        Current!.Pin(granter, reference, writable, out pin);

    public static void Unpin(Domain granter, in PinnedGrant pin) => Current!.Drop(granter, in pin);

    public abstract int Pin(Domain granter, uint reference, bool writable, out PinnedGrant pin);

    public abstract void Drop(Domain granter, in PinnedGrant pin);
}

public abstract class ServiceChannelHandler
{
    public abstract void Raised();
}

public abstract class ServiceChannel
{
    public static ServiceChannel? Binder;

    public static int TryBind(Domain guest, uint port, ServiceChannelHandler handler, out ServiceChannel? channel)
    {
        channel = Binder!.Bind(guest, port, handler);
        return channel == null ? -Abi.Xen.Errno.EINVAL : 0;
    }

    public abstract ServiceChannel? Bind(Domain guest, uint port, ServiceChannelHandler handler);

    public abstract void Notify();

    public abstract void Close();
}
