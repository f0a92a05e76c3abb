using System;
using Blanket.Abi.Xen;
using Blanket.Abi.Xen.Io;

namespace Blanket.TestKernel;

/// <summary>The frontend's half of a device: its nodes, its grants and its event channel.</summary>
internal unsafe ref struct Frontend
{
    // Enough for a backend that has something to do first; the boot test ends what waits for ever.
    private const int Patience = 20_000;

    private readonly ReadOnlySpan<byte> _directory;
    private readonly Span<byte> _backend;

    private Frontend(ReadOnlySpan<byte> directory, Span<byte> backend, ushort backendDomain)
    {
        _directory = directory;
        _backend = backend;
        BackendDomain = backendDomain;
    }

    /// <summary>Whom pages are granted to.</summary>
    internal ushort BackendDomain { get; }

    /// <summary>Port of its event channel.</summary>
    internal uint Port { get; private set; }

    /// <summary>Finds a device and maps the grant table.</summary>
    /// <param name="directory">Below the domain's home, such as <c>device/vbd/51712</c>.</param>
    /// <param name="frontend">Its frontend.</param>
    /// <returns>False when the domain has no such device.</returns>
    internal static bool TryFind(ReadOnlySpan<byte> directory, out Frontend frontend)
    {
        Span<byte> backend = Page.Take().Bytes;
        int length = Store.Read(directory, "backend"u8, backend);
        long domain = Store.ReadNumber(directory, "backend-id"u8);
        frontend = new Frontend(directory, backend.Slice(0, Math.Max(0, length)), (ushort)domain);
        bool isThere = length > 0 && domain >= 0;
        Report.True("the domain has the device"u8, isThere);
        if (isThere)
        {
            GrantTable.Map();
        }

        return isThere;
    }

    /// <summary>Grants a page to the backend.</summary>
    /// <returns>The reference.</returns>
    internal readonly uint Grant(Page page, bool isReadOnly = false) => GrantTable.Grant(page, BackendDomain, isReadOnly);

    /// <summary>Makes an event channel to the backend.</summary>
    internal void AllocatePort()
    {
        EventChannelAllocateUnbound unbound = default;
        unbound.Domain = DomainId.Self;
        unbound.RemoteDomain = BackendDomain;
        Domain.Require(Hypercall.Event(EventChannelOp.AllocateUnbound, &unbound));
        Port = unbound.Port;
    }

    /// <summary>Gives the event channel up.</summary>
    internal readonly void ClosePort()
    {
        uint port = Port;
        Domain.Require(Hypercall.Event(EventChannelOp.Close, &port));
    }

    /// <summary>Sends the backend an event.</summary>
    internal readonly void Notify()
    {
        uint port = Port;
        Hypercall.Event(EventChannelOp.Send, &port);
    }

    internal readonly void Write(ReadOnlySpan<byte> name, ulong value) => Report.True("a node of the device can be written"u8, Store.Write(_directory, name, value));

    internal readonly long ReadBackend(ReadOnlySpan<byte> name) => Store.ReadNumber(_backend, name);

    internal readonly void SetState(XenbusState state) => Write("state"u8, (ulong)state);

    /// <summary>Waits until the backend is in a state; a check that fails when it does not come.</summary>
    internal readonly bool Await(XenbusState state)
    {
        long current = -1;
        for (int i = 0; i < Patience && current != (long)state; i++)
        {
            current = ReadBackend("state"u8);
            Domain.Yield();
        }

        Report.Equal("state of the backend"u8, current, (long)state);
        return current == (long)state;
    }

    /// <summary>Begins anew, whatever was before, until the backend waits for it.</summary>
    internal readonly bool Begin()
    {
        SetState(XenbusState.Initialising);
        return Await(XenbusState.InitWait);
    }

    /// <summary>Closes the device as a frontend has to. Pages remain granted (<see cref="GrantTable.RevokeAll"/>).</summary>
    internal readonly void Close()
    {
        SetState(XenbusState.Closing);
        Await(XenbusState.Closing);
        SetState(XenbusState.Closed);
        Await(XenbusState.Closed);
        ClosePort();
    }
}
