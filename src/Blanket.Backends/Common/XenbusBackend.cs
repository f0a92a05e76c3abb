using System;
using System.Threading;
using Blanket.Abi;
using Blanket.Abi.Xen;
using Blanket.Abi.Xen.Io;
using Blanket.Core.Domains;
using Blanket.Machine;
using Blanket.Store;

namespace Blanket.Backends;

/// <summary>
/// The backend's half of the connection of a xenbus device (state diagram of io/blkif.h). The frontend's state is watched;
/// a frontend that closes, or starts again without closing, finds the backend waiting for it anew.
/// </summary>
public abstract class XenbusBackend : BackendDevice
{
    private readonly StateWatcher _watcher;
    private XenbusState _state = XenbusState.Initialising;
    private int _hasNews = 1;
    private int _isOnline = 1;
    private int _isDestroyed;
    private bool _isAttached;
    private bool _hasFailed;
    private bool _isRemoved;

    private protected XenbusBackend(BackendBus bus, BackendOwner owner, Domain domain, ReadOnlySpan<byte> kind, uint deviceId)
        : base(bus, owner, domain)
    {
        DeviceId = deviceId;
        _watcher = new StateWatcher(this);
        PathBuilder path = new(stackalloc byte[NodeDirectory.MaximumPath]);
        path.AppendHome(domain.Id);
        path.AppendName("device"u8);
        path.AppendName(kind);
        path.AppendName(deviceId);
        Frontend = new NodeDirectory(bus.Store, path.Text);
        path.Truncate(0);
        path.AppendHome(DomainId.Services);
        path.AppendName("backend"u8);
        path.AppendName(kind);
        path.AppendName(domain.Id);
        path.AppendName(deviceId);
        Backend = new NodeDirectory(bus.Store, path.Text);
    }

    /// <summary>Number of the device in its guest.</summary>
    public uint DeviceId { get; }

    /// <summary>The backend's state.</summary>
    public XenbusState State => _state;

    /// <summary>The frontend's directory: /local/domain/GUEST/device/KIND/ID.</summary>
    internal NodeDirectory Frontend { get; }

    /// <summary>The backend's directory: /local/domain/SERVICES/backend/KIND/GUEST/ID.</summary>
    internal NodeDirectory Backend { get; }

    /// <inheritdoc/>
    public override void Destroy()
    {
        Volatile.Write(ref _isDestroyed, 1);
        Notice();
    }

    /// <summary>
    /// Asks the guest to give the device up. When it has closed its half, the device goes and <see cref="BackendOwner.Released"/> is called;
    /// a guest may take as long as it likes.
    /// </summary>
    public void Unplug()
    {
        Volatile.Write(ref _isOnline, 0);
        Notice();
    }

    /// <inheritdoc/>
    internal override void Notice()
    {
        Volatile.Write(ref _hasNews, 1);
        Bus.RequestProcess();
    }

    /// <inheritdoc/>
    internal override void Process()
    {
        if (Interlocked.Exchange(ref _hasNews, 0) != 0)
        {
            FollowFrontend();
        }

        if (!_isRemoved)
        {
            ProcessRings();
        }
    }

    /// <summary>Writes the features that a frontend is offered.</summary>
    private protected abstract void PublishFeatures();

    /// <summary>Reads what the frontend has written and starts to use its rings.</summary>
    /// <returns>0 or a negative errno; what is held then is let go of by <see cref="BeginDetach"/> and <see cref="TryFinishDetach"/>.</returns>
    private protected abstract int Attach();

    /// <summary>Takes no more requests from the rings. May be called again.</summary>
    private protected abstract void BeginDetach();

    /// <summary>Lets go of the rings and ports. False while requests are in flight: to be tried again after <see cref="Notice"/>.</summary>
    private protected abstract bool TryFinishDetach();

    /// <summary>Goes on with what was put off on the rings.</summary>
    private protected abstract void ProcessRings();

    /// <summary>Something about the device may have changed that a connected frontend is to be told.</summary>
    private protected abstract void UpdateProperties();

    /// <summary>Whether a frontend has broken the rules of its rings, so that they cannot be used any more.</summary>
    private protected abstract bool IsBroken { get; }

    /// <summary>Lets go of what the device holds besides rings, at its end.</summary>
    private protected abstract void Release();

    /// <summary>Begins to follow the frontend, once the toolstack's nodes are written.</summary>
    private protected bool TryStart()
    {
        if (!Bus.TryAdd(this))
        {
            return false;
        }

        if (WatchState() != XenStoreError.None)
        {
            Bus.Remove(this);
            return false;
        }

        Bus.RequestProcess();
        return true;
    }

    /// <summary>Writes the backend's state, also when it is the same as before: the frontend's watch fires.</summary>
    private protected void WriteState(XenbusState state)
    {
        _state = state;
        XenStoreError error = Backend.Write("state"u8, (ulong)state);
        if (error != XenStoreError.None)
        {
            LogError("cannot write its state"u8, (int)error);
        }
    }

    /// <summary>Writes a log line about the device.</summary>
    private protected void LogError(ReadOnlySpan<byte> what, int error) =>
        Log.Line(""u8).Text(Backend.Path).Text(": "u8).Text(what).Text(", error "u8).Signed(error).End();

    private void SetState(XenbusState state)
    {
        if (_state != state)
        {
            WriteState(state);
        }
    }

    private void FollowFrontend()
    {
        if (Volatile.Read(ref _isDestroyed) != 0)
        {
            CloseAndRemove();
            return;
        }

        if (_isAttached && (_hasFailed || IsBroken))
        {
            // The frontend learns of it and has to close; only then a new connection can be made.
            SetState(XenbusState.Closing);
            TryDetach();
        }

        switch (Frontend.ReadState())
        {
            case XenbusState.Initialising:
                FollowInitialising();
                break;
            case XenbusState.Initialised:
            case XenbusState.Connected:
                FollowReady();
                break;
            case XenbusState.Closing:
                // A frontend whose device is still in use goes on with it in this state.
                SetState(XenbusState.Closing);
                break;
            case XenbusState.Closed:
            case XenbusState.Unknown:
                FollowClosed();
                break;
        }
    }

    private void FollowInitialising()
    {
        if (!TryDetach())
        {
            return;
        }

        if (Volatile.Read(ref _isOnline) == 0)
        {
            CloseAndRemove();
        }
        else if (_state != XenbusState.InitWait)
        {
            PublishFeatures();
            SetState(XenbusState.InitWait);
        }
    }

    private void FollowReady()
    {
        if (Volatile.Read(ref _isOnline) == 0)
        {
            SetState(XenbusState.Closing);
            return;
        }

        switch (_state)
        {
            case XenbusState.Initialising:
            case XenbusState.Closed:
                // A frontend need not wait for the backend (note on skipped states in io/blkif.h).
                PublishFeatures();
                TryConnect();
                break;
            case XenbusState.InitWait:
                TryConnect();
                break;
            case XenbusState.Connected:
                UpdateProperties();
                break;
        }
    }

    private void FollowClosed()
    {
        if (!TryDetach())
        {
            return;
        }

        SetState(XenbusState.Closed);
        if (Volatile.Read(ref _isOnline) == 0)
        {
            CloseAndRemove();
        }
    }

    private void TryConnect()
    {
        int error = Attach();
        _isAttached = true;
        _hasFailed = error != 0;
        if (_hasFailed)
        {
            LogError("cannot connect to the frontend"u8, error);
            SetState(XenbusState.Closing);
            TryDetach();
            return;
        }

        SetState(XenbusState.Connected);
    }

    private bool TryDetach()
    {
        if (_isAttached)
        {
            BeginDetach();
            _isAttached = !TryFinishDetach();
        }

        return !_isAttached;
    }

    private void CloseAndRemove()
    {
        if (_isRemoved || !TryDetach())
        {
            return;
        }

        _isRemoved = true;
        UnwatchState();
        Frontend.Remove();
        Backend.Remove();
        Release();
        Bus.Remove(this);
        Owner.Released(this);
    }

    private XenStoreError WatchState()
    {
        PathBuilder path = new(stackalloc byte[NodeDirectory.MaximumPath]);
        Frontend.Append(ref path, "state"u8);
        return Bus.Store.Watch(path.Text, Backend.Path, _watcher);
    }

    private void UnwatchState()
    {
        PathBuilder path = new(stackalloc byte[NodeDirectory.MaximumPath]);
        Frontend.Append(ref path, "state"u8);
        Bus.Store.Unwatch(path.Text, Backend.Path);
    }

    private sealed class StateWatcher(XenbusBackend device) : StoreWatcher
    {
        public override void Fired(ReadOnlySpan<byte> path, ReadOnlySpan<byte> token) => device.Notice();
    }
}
