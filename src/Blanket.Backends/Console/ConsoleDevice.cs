using System;
using Blanket.Abi;
using Blanket.Abi.Xen;
using Blanket.Abi.Xen.Io;
using Blanket.Core.Domains;
using Blanket.Drivers;

namespace Blanket.Backends;

/// <summary>A further console of a guest (docs/misc/console.txt), which connects as other xenbus devices do; hvc1 and up in Linux.</summary>
public sealed class ConsoleDevice : XenbusBackend
{
    private const ulong OutputLimit = 1_048_576;

    private readonly ConsoleRing _ring;

    private ConsoleDevice(BackendBus bus, BackendOwner owner, Domain domain, uint deviceId, ConsolePort? port)
        : base(bus, owner, domain, "console"u8, deviceId)
    {
        _ring = new ConsoleRing(bus, this, port);
    }

    /// <inheritdoc/>
    internal override ulong WakeTime => _ring.WakeTime;

    /// <inheritdoc/>
    private protected override bool IsBroken => _ring.IsBroken;

    /// <summary>Gives a guest a further console. Creates objects, in the caller's arena.</summary>
    /// <param name="bus">The machine's backends.</param>
    /// <param name="owner">Who is told when the console is gone.</param>
    /// <param name="domain">The guest, which xenstore knows.</param>
    /// <param name="deviceId">Its number, at least 1; Linux knows 1 to 9.</param>
    /// <param name="port">L0's port, which nobody else uses; null discards all output.</param>
    /// <param name="name">Name of a channel; empty for a console.</param>
    /// <param name="console">The console; null on an error.</param>
    /// <returns>0, -EINVAL (device number), -EBUSY (the port is used), -ENOSPC (too many devices, or xenstore is full).</returns>
    public static int Create(
        BackendBus bus,
        BackendOwner owner,
        Domain domain,
        uint deviceId,
        ConsolePort? port,
        ReadOnlySpan<byte> name,
        out ConsoleDevice? console)
    {
        console = null;
        if (deviceId == 0)
        {
            return -Errno.EINVAL;
        }

        if (port != null && port.Client != null)
        {
            return -Errno.EBUSY;
        }

        ConsoleDevice created = new(bus, owner, domain, deviceId, port);
        if (!created.TryWriteNodes(name) || !created.TryStart())
        {
            created._ring.ReleasePort();
            created.Frontend.Remove();
            created.Backend.Remove();
            return -Errno.ENOSPC;
        }

        console = created;
        return 0;
    }

    /// <inheritdoc/>
    private protected override void PublishFeatures()
    {
    }

    /// <inheritdoc/>
    private protected override int Attach() =>
        Frontend.TryRead("ring-ref"u8, out uint reference) && Frontend.TryRead("port"u8, out uint port)
            ? _ring.Attach(reference, port)
            : -Errno.EINVAL;

    /// <inheritdoc/>
    private protected override void BeginDetach() => _ring.BeginDetach();

    /// <inheritdoc/>
    private protected override bool TryFinishDetach() => _ring.TryFinishDetach();

    /// <inheritdoc/>
    private protected override void ProcessRings()
    {
        _ring.CheckPatience();
    }

    /// <inheritdoc/>
    private protected override void UpdateProperties()
    {
    }

    /// <inheritdoc/>
    private protected override void Release() => _ring.ReleasePort();

    private bool TryWriteNodes(ReadOnlySpan<byte> name)
    {
        ushort guest = Domain.Id;
        ushort services = DomainId.Services;
        return Backend.Create(services, guest) == XenStoreError.None
            && Backend.Write("frontend"u8, Frontend.Path) == XenStoreError.None
            && Backend.Write("frontend-id"u8, guest) == XenStoreError.None
            && Backend.Write("online"u8, true) == XenStoreError.None
            && Backend.Write("protocol"u8, "vt100"u8) == XenStoreError.None
            && Backend.Write("state"u8, (ulong)XenbusState.Initialising) == XenStoreError.None
            && Frontend.Create(guest, services) == XenStoreError.None
            && Frontend.Write("backend"u8, Backend.Path) == XenStoreError.None
            && Frontend.Write("backend-id"u8, services) == XenStoreError.None
            && Frontend.Write("protocol"u8, "vt100"u8) == XenStoreError.None
            && TryWriteReadOnly("limit"u8, OutputLimit)
            && TryWriteReadOnly("type"u8, "xenconsoled"u8)
            && TryWriteReadOnly("output"u8, "pty"u8)
            && TryWriteReadOnly("tty"u8, ""u8)
            && (name.IsEmpty || TryWriteReadOnly("name"u8, name))
            && Frontend.Write("state"u8, (ulong)XenbusState.Initialising) == XenStoreError.None;
    }

    private bool TryWriteReadOnly(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value) =>
        Frontend.Write(name, value) == XenStoreError.None
        && Frontend.SetPermissions(name, DomainId.Services, Domain.Id) == XenStoreError.None;

    private bool TryWriteReadOnly(ReadOnlySpan<byte> name, ulong value) =>
        Frontend.Write(name, value) == XenStoreError.None
        && Frontend.SetPermissions(name, DomainId.Services, Domain.Id) == XenStoreError.None;
}
