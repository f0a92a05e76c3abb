using Blanket.Abi.Xen;

namespace Blanket.Core.Events;

/// <summary>
/// State and other end of a port in one word, so that whoever sends without a lock sees both as they belong together,
/// and so that the services can connect and disconnect by compare-and-exchange.
/// </summary>
internal readonly struct PortBinding
{
    private PortBinding(ulong raw) => Raw = raw;

    private PortBinding(PortState state, ushort domain, uint peer)
        : this((byte)state | ((ulong)domain << 16) | ((ulong)peer << 32))
    {
    }

    /// <summary>The word.</summary>
    public ulong Raw { get; }

    public PortState State => (PortState)(byte)Raw;

    /// <summary>The other end's domain, or the domain that may bind.</summary>
    public ushort RemoteDomain => (ushort)(Raw >> 16);

    /// <summary>The other end's port, or index of a service channel.</summary>
    public uint RemotePort => (uint)(Raw >> 32);

    /// <summary>The virtual interrupt.</summary>
    public uint Virq => (uint)(Raw >> 32);

    /// <summary>Connected to a channel of the built-in services.</summary>
    public bool IsService => State == PortState.Interdomain && RemoteDomain == DomainId.Services;

    public static PortBinding Free => default;

    public static PortBinding Reserved => new(PortState.Reserved, 0, 0);

    public static PortBinding Ipi => new(PortState.Ipi, 0, 0);

    public static PortBinding FromRaw(ulong raw) => new(raw);

    public static PortBinding Unbound(ushort remote) => new(PortState.Unbound, remote, 0);

    public static PortBinding Interdomain(ushort remote, uint port) => new(PortState.Interdomain, remote, port);

    public static PortBinding OfVirq(uint virq) => new(PortState.Virq, 0, virq);
}
