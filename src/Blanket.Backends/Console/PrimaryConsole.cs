using System.Threading;
using Blanket.Abi;
using Blanket.Abi.Xen;
using Blanket.Abi.Xen.Io;
using Blanket.Core.Domains;
using Blanket.Drivers;
using Blanket.Machine;
using Blanket.Store;

namespace Blanket.Backends;

/// <summary>
/// The console that a guest is born with (docs/misc/console.txt): its page and port are in start_info, the nodes in
/// /local/domain/GUEST/console only describe it. There is nothing to negotiate.
/// </summary>
public sealed class PrimaryConsole : BackendDevice
{
    /// <summary>GNTTAB_RESERVED_CONSOLE of grant_table.h: the grant of the console's page, which the domain builder makes for the services.</summary>
    private const uint ReservedReference = 0;

    /// <summary>Bytes of output that a console is to keep at most, for the node "limit"; a number of stock Xen's toolstack.</summary>
    private const ulong OutputLimit = 1_048_576;

    private readonly ConsoleRing _ring;
    private readonly NodeDirectory _frontend;
    private readonly NodeDirectory _backend;
    private int _isDestroyed;
    private bool _isRemoved;

    private PrimaryConsole(BackendBus bus, BackendOwner owner, Domain domain, ConsolePort? port)
        : base(bus, owner, domain)
    {
        _ring = new ConsoleRing(bus, this, port);
        PathBuilder path = new(stackalloc byte[NodeDirectory.MaximumPath]);
        path.AppendHome(domain.Id);
        path.AppendName("console"u8);
        _frontend = new NodeDirectory(bus.Store, path.Text);
        path.Truncate(0);
        path.AppendHome(DomainId.Services);
        path.AppendName("backend/console"u8);
        path.AppendName(domain.Id);
        path.AppendName("0"u8);
        _backend = new NodeDirectory(bus.Store, path.Text);
    }

    /// <inheritdoc/>
    internal override ulong WakeTime => _ring.WakeTime;

    /// <summary>Connects a guest's console to a port of L0 and describes it in xenstore. Creates objects, in the caller's arena.</summary>
    /// <param name="bus">The machine's backends.</param>
    /// <param name="owner">Who is told when the console is gone.</param>
    /// <param name="domain">The guest, which xenstore knows.</param>
    /// <param name="port">L0's port, which nobody else uses; null discards all output.</param>
    /// <param name="frame">Frame of the console's page, for the node "ring-ref".</param>
    /// <param name="guestPort">The guest's event channel, unbound for the services.</param>
    /// <param name="console">The console; null on an error.</param>
    /// <returns>0, -EBUSY (the port is used), -ENOSPC (xenstore is full), or why the page's grant or the event channel cannot be used.</returns>
    public static int Create(
        BackendBus bus, BackendOwner owner, Domain domain, ConsolePort? port, ulong frame, uint guestPort, out PrimaryConsole? console)
    {
        console = null;
        if (port != null && port.Client != null)
        {
            return -Errno.EBUSY;
        }

        PrimaryConsole created = new(bus, owner, domain, port);
        int error = created.Start(frame, guestPort);
        if (error != 0)
        {
            created._ring.ReleasePort();
            created.RemoveNodes();
            return error;
        }

        console = created;
        return 0;
    }

    /// <inheritdoc/>
    public override void Destroy()
    {
        Volatile.Write(ref _isDestroyed, 1);
        Notice();
    }

    /// <inheritdoc/>
    internal override void Notice() => Bus.RequestProcess();

    /// <inheritdoc/>
    internal override void Process()
    {
        _ring.CheckPatience();
        if (Volatile.Read(ref _isDestroyed) != 0 && !_isRemoved)
        {
            _ring.BeginDetach();
            if (_ring.TryFinishDetach())
            {
                Remove();
            }
        }
    }

    private int Start(ulong frame, uint guestPort)
    {
        if (!TryWriteNodes(frame, guestPort))
        {
            return -Errno.ENOSPC;
        }

        if (!Bus.TryAdd(this))
        {
            return -Errno.ENOSPC;
        }

        int error = _ring.Attach(ReservedReference, guestPort);
        if (error != 0)
        {
            Bus.Remove(this);
        }

        return error;
    }

    private void Remove()
    {
        _isRemoved = true;
        _ring.ReleasePort();
        RemoveNodes();
        Bus.Remove(this);
        Owner.Released(this);
    }

    private void RemoveNodes()
    {
        _frontend.Remove();
        _backend.Remove();
    }

    private bool TryWriteNodes(ulong frame, uint guestPort)
    {
        ushort guest = Domain.Id;
        ushort services = DomainId.Services;
        return _backend.Create(services, guest) == XenStoreError.None
            && _backend.Write("frontend"u8, _frontend.Path) == XenStoreError.None
            && _backend.Write("frontend-id"u8, guest) == XenStoreError.None
            && _backend.Write("online"u8, true) == XenStoreError.None
            && _backend.Write("state"u8, (ulong)XenbusState.Initialising) == XenStoreError.None
            && _backend.Write("protocol"u8, "vt100"u8) == XenStoreError.None
            && _frontend.Create(services, guest) == XenStoreError.None
            && _frontend.Write("backend"u8, _backend.Path) == XenStoreError.None
            && _frontend.Write("backend-id"u8, services) == XenStoreError.None
            && _frontend.Write("limit"u8, OutputLimit) == XenStoreError.None
            && _frontend.Write("type"u8, "xenconsoled"u8) == XenStoreError.None
            && _frontend.Write("output"u8, "pty"u8) == XenStoreError.None
            && _frontend.Write("tty"u8, ""u8) == XenStoreError.None
            && _frontend.Write("port"u8, guestPort) == XenStoreError.None
            && _frontend.Write("ring-ref"u8, frame) == XenStoreError.None;
    }
}
