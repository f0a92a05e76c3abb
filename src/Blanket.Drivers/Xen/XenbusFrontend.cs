using System;
using System.Threading;
using Blanket.Abi;
using Blanket.Abi.Xen.Io;
using Blanket.Machine;

namespace Blanket.Drivers.Xen;

/// <summary>
/// The frontend's half of the connection of a xenbus device (state diagram of io/blkif.h). It follows the backend's state by a watch;
/// the methods that a driver overrides are called one at a time, with no lock held, from the store's event. A backend that closes, starts
/// again, or is another one after a restore finds the frontend opening the device anew.
/// </summary>
public abstract class XenbusFrontend
{
    /// <summary>Bytes of the longest path of a device.</summary>
    private const int MaximumPath = 192;

    private enum Phase : byte
    {
        /// <summary>The backend's place is not known yet.</summary>
        Unknown,

        /// <summary>Waits for the backend's offer.</summary>
        Initialising,

        /// <summary>Rings are published; waits for the backend.</summary>
        Published,
        Connected,

        /// <summary>Waits for the backend to let go.</summary>
        Stopped,

        /// <summary>The backend has let go and does not want a frontend.</summary>
        Gone,
    }

    private enum Step : byte
    {
        BackendPath,
        BackendDomain,
        State,
        Online,
        Offer,
        TransactionStart,
        Write,
        TransactionEnd,
        ReadyState,
        Details,
        ConnectedState,
        ClosedState,
        InitialisingState,
    }

    private readonly byte[] _home = new byte[MaximumPath];
    private readonly byte[] _backend = new byte[MaximumPath];
    private readonly BackendNodes _readings = new();
    private readonly FrontendNodes _nodes = new();
    private readonly Reply _reply;
    private readonly Watch _watch;
    private readonly int _homeLength;
    private int _backendLength;
    private Phase _phase;
    private Step _step;
    private int _index;
    private uint _transaction;
    private int _isBusy;
    private int _hasNews;
    private int _wantsReopen;
    private int _wantsRestart;
    private XenbusState _backendState;

    /// <summary>A device that <see cref="Start"/> begins to open.</summary>
    /// <param name="xen">L0's services.</param>
    /// <param name="kind">"vbd" or "vif".</param>
    /// <param name="deviceId">Number of the device in L1's domain.</param>
    protected XenbusFrontend(XenTransport xen, ReadOnlySpan<byte> kind, uint deviceId)
    {
        Xen = xen;
        DeviceId = deviceId;
        PathBuilder path = new(_home);
        path.Append("device"u8);
        path.AppendName(kind);
        path.AppendName(deviceId);
        _homeLength = path.Length;
        _reply = new Reply(this);
        _watch = new Watch(this);
    }

    /// <summary>L0's services.</summary>
    public XenTransport Xen { get; }

    /// <summary>Number of the device in L1's domain.</summary>
    public uint DeviceId { get; }

    /// <summary>The domain that the backend is in, to grant to; valid in <see cref="Open"/>.</summary>
    public ushort BackendDomain { get; private set; }

    /// <summary>Whether the device can be used.</summary>
    public bool IsConnected => _phase == Phase.Connected;

    /// <summary>Whether it is connected or there is nothing to wait for; for boot code that polls.</summary>
    public bool HasSettled => _phase is Phase.Connected or Phase.Gone || Xen.Store.IsBroken;

    /// <summary>Its directory for log lines, as <c>device/vbd/51712</c>.</summary>
    public ReadOnlySpan<byte> Home => new(_home, 0, _homeLength);

    /// <summary>
    /// Names of the nodes that <see cref="Open"/> needs, each with a terminating zero: the backend's, with a slash before them its own
    /// (<c>"feature-sg\0/mac\0"</c>). At most 32.
    /// </summary>
    protected abstract ReadOnlySpan<byte> OfferNames { get; }

    /// <summary>The same for <see cref="Connect"/> and <see cref="Update"/>.</summary>
    protected abstract ReadOnlySpan<byte> DetailNames { get; }

    /// <summary>The state that follows the writing of the nodes: Initialised for disks, Connected for networks.</summary>
    protected abstract XenbusState ReadyState { get; }

    /// <summary>The backend made its offer: makes rings, grants and event channels, and says what is written for the backend.</summary>
    /// <returns>False when it cannot be opened; <see cref="Release"/> is then called.</returns>
    protected abstract bool Open(BackendNodes offer, FrontendNodes nodes);

    /// <summary>The backend is connected: from here on the rings are in use, and what waits is sent. Requests that were in flight when the last connection ended are sent again.</summary>
    /// <returns>False when what it says makes no sense: the device is closed.</returns>
    protected abstract bool Connect(BackendNodes details);

    /// <summary>The connected backend has written its state again: its properties may have changed.</summary>
    protected abstract void Update(BackendNodes details);

    /// <summary>The rings must not be used any more. What is in flight may still be served, by this connection or not at all.</summary>
    protected abstract void Stop();

    /// <summary>The backend has let go: grants are ended and ports closed. Requests that were in flight wait for the next connection.</summary>
    /// <param name="isRestored">L1's domain is another one now: its grants and ports are gone already, references remain reserved.</param>
    protected abstract void Release(bool isRestored);

    /// <summary>No backend will serve the device any more, or for now: what waits ends with errors.</summary>
    protected abstract void Abandon();

    /// <summary>Begins to open the device.</summary>
    public void Start()
    {
        Volatile.Write(ref _wantsRestart, 1);
        Notice();
    }

    /// <summary>After a restore, when the transport works again: opens the device with the new backend.</summary>
    public void Restore()
    {
        if (_phase is Phase.Published or Phase.Connected)
        {
            Stop();
        }

        if (_phase is Phase.Published or Phase.Connected or Phase.Stopped)
        {
            Release(true);
        }

        _phase = Phase.Unknown;
        Start();
    }

    /// <summary>The rings cannot be believed any more: closes the device and opens it again. May be called with any lock of a driver held.</summary>
    protected void RequestReopen()
    {
        Volatile.Write(ref _wantsReopen, 1);
        Notice();
    }

    private void Notice()
    {
        Volatile.Write(ref _hasNews, 1);
        if (Interlocked.CompareExchange(ref _isBusy, 1, 0) == 0)
        {
            Begin();
        }
    }

    // Every step ends with the request whose answer is the next step's beginning, so that steps never run inside each other.
    private void Begin()
    {
        Volatile.Write(ref _hasNews, 0);
        if (Interlocked.Exchange(ref _wantsRestart, 0) != 0)
        {
            _phase = Phase.Unknown;
            ReadOwn(Step.BackendPath, "backend"u8);
        }
        else if (_phase == Phase.Unknown)
        {
            Finish();
        }
        else
        {
            ReadBackend(Step.State, "state"u8);
        }
    }

    private void Finish()
    {
        Volatile.Write(ref _isBusy, 0);
        if (Volatile.Read(ref _hasNews) != 0 && Interlocked.CompareExchange(ref _isBusy, 1, 0) == 0)
        {
            Begin();
        }
    }

    private void Advance(XenStoreError error, ReadOnlySpan<byte> value)
    {
        if (error is XenStoreError.Again && (_step != Step.TransactionEnd || Volatile.Read(ref _wantsRestart) != 0))
        {
            // The domain was restored under the request: Restore begins anew.
            Finish();
            return;
        }

        switch (_step)
        {
            case Step.BackendPath:
                TakeBackendPath(error, value);
                break;
            case Step.BackendDomain:
                TakeBackendDomain(error, value);
                break;
            case Step.State:
                _backendState = error == XenStoreError.None && DecimalNumber.TryParse(value, (ulong)XenbusState.Reconfigured, out ulong state)
                    ? (XenbusState)state : XenbusState.Unknown;
                ReadBackend(Step.Online, "online"u8);
                break;
            case Step.Online:
                Follow(error != XenStoreError.None || !value.SequenceEqual("0"u8));
                break;
            case Step.Offer:
            case Step.Details:
                TakeNode(error, value);
                break;
            default:
                AdvanceWriting(error, value);
                break;
        }
    }

    private void AdvanceWriting(XenStoreError error, ReadOnlySpan<byte> value)
    {
        switch (_step)
        {
            case Step.TransactionStart:
                StartWriting(error, value);
                break;
            case Step.Write:
                WriteNext(error);
                break;
            case Step.TransactionEnd when error == XenStoreError.Again:
                StartTransaction();
                break;
            case Step.TransactionEnd when error == XenStoreError.None:
                WriteState(Step.ReadyState, ReadyState);
                break;
            case Step.TransactionEnd:
                Fail("its nodes cannot be written"u8, error);
                break;
            case Step.ReadyState:
                _phase = Phase.Published;
                AgainAndFinish();
                break;
            case Step.InitialisingState:
                _phase = Phase.Initialising;
                AgainAndFinish();
                break;
            default:
                Finish();
                break;
        }
    }

    /// <summary>The backend may have moved on while this half was at work.</summary>
    private void AgainAndFinish()
    {
        Volatile.Write(ref _hasNews, 1);
        Finish();
    }

    private void TakeBackendPath(XenStoreError error, ReadOnlySpan<byte> value)
    {
        if (error != XenStoreError.None || value.IsEmpty || value.Length > MaximumPath / 2)
        {
            Fail("it has no backend"u8, error);
            return;
        }

        value.CopyTo(_backend);
        _backendLength = value.Length;
        ReadOwn(Step.BackendDomain, "backend-id"u8);
    }

    private void TakeBackendDomain(XenStoreError error, ReadOnlySpan<byte> value)
    {
        if (error != XenStoreError.None || !DecimalNumber.TryParseDomid(value, out ushort domain))
        {
            Fail("its backend's domain is not known"u8, error);
            return;
        }

        BackendDomain = domain;
        Xen.Store.Unwatch(_watch);
        PathBuilder path = new(stackalloc byte[MaximumPath]);
        path.Append(new ReadOnlySpan<byte>(_backend, 0, _backendLength));
        path.AppendName("state"u8);
        if (!Xen.Store.TryWatch(path.Text, _watch))
        {
            Fail("its backend cannot be watched"u8, XenStoreError.NoMemory);
            return;
        }

        WriteState(Step.InitialisingState, XenbusState.Initialising);
    }

    private void Follow(bool isOnline)
    {
        // A published ring may already be in use: a backend can break it before this half has seen that it is connected.
        if (Interlocked.Exchange(ref _wantsReopen, 0) != 0 && _phase is Phase.Published or Phase.Connected)
        {
            StopAndClose();
            return;
        }

        switch (_backendState)
        {
            case XenbusState.InitWait:
                FollowOffer();
                break;
            case XenbusState.Connected:
                FollowConnected();
                break;
            case XenbusState.Closing when _phase != Phase.Stopped && _phase != Phase.Gone:
                StopAndClose();
                break;
            case XenbusState.Closed:
            case XenbusState.Unknown:
                FollowClosed(isOnline && _backendState == XenbusState.Closed);
                break;
            default:
                Finish();
                break;
        }
    }

    private void FollowOffer()
    {
        switch (_phase)
        {
            case Phase.Connected:
            case Phase.Stopped:
                // It started again without a word, or closed and opened faster than was looked.
                LetGo();
                WriteState(Step.InitialisingState, XenbusState.Initialising);
                break;
            case Phase.Gone:
                WriteState(Step.InitialisingState, XenbusState.Initialising);
                break;
            case Phase.Initialising:
                _readings.Begin(OfferNames);
                _index = -1;
                ReadNext(Step.Offer);
                break;
            default:
                Finish();
                break;
        }
    }

    private void FollowConnected()
    {
        switch (_phase)
        {
            case Phase.Published:
            case Phase.Connected:
                _readings.Begin(DetailNames);
                _index = -1;
                ReadNext(Step.Details);
                break;
            case Phase.Initialising:
                // Connected to somebody before us (a boot loader, a kernel that ended): it is made to let go.
                _phase = Phase.Stopped;
                WriteState(Step.ClosedState, XenbusState.Closed);
                break;
            default:
                Finish();
                break;
        }
    }

    private void FollowClosed(bool isOnline)
    {
        bool isNew = _phase is not Phase.Initialising;
        LetGo();
        if (isOnline)
        {
            if (!isNew)
            {
                // The backend knows that somebody waits for it.
                Finish();
                return;
            }

            WriteState(Step.InitialisingState, XenbusState.Initialising);
            return;
        }

        if (_phase != Phase.Gone)
        {
            _phase = Phase.Gone;
            Abandon();
        }

        Finish();
    }

    private void LetGo()
    {
        if (_phase is Phase.Connected or Phase.Published)
        {
            Stop();
        }

        if (_phase is Phase.Connected or Phase.Published or Phase.Stopped)
        {
            Release(false);
            _phase = Phase.Initialising;
        }
    }

    private void StopAndClose()
    {
        if (_phase is Phase.Connected or Phase.Published)
        {
            Stop();
        }

        _phase = Phase.Stopped;
        WriteState(Step.ClosedState, XenbusState.Closed);
    }

    private void TakeNode(XenStoreError error, ReadOnlySpan<byte> value)
    {
        if (error == XenStoreError.None)
        {
            _readings.Set(_index, value);
        }

        ReadNext(_step);
    }

    private void ReadNext(Step step)
    {
        _index++;
        if (_index < _readings.Count)
        {
            ReadOnlySpan<byte> name = _readings.Name(_index);
            if (name[0] == (byte)'/')
            {
                ReadOwn(step, name.Slice(1));
            }
            else
            {
                ReadBackend(step, name);
            }
        }
        else if (step == Step.Offer)
        {
            OpenDevice();
        }
        else
        {
            TakeDetails();
        }
    }

    private void OpenDevice()
    {
        _nodes.Clear();
        if (!Open(_readings, _nodes) || _nodes.Overflowed)
        {
            Release(false);
            Fail("it cannot be opened"u8, XenStoreError.NoMemory);
            return;
        }

        _phase = Phase.Published;
        StartTransaction();
    }

    private void StartTransaction()
    {
        _step = Step.TransactionStart;
        CheckSent(Xen.Store.TryStartTransaction(_reply));
    }

    private void StartWriting(XenStoreError error, ReadOnlySpan<byte> value)
    {
        ReadOnlySpan<byte> number = value.Length != 0 && value[value.Length - 1] == 0 ? value.Slice(0, value.Length - 1) : value;
        if (error != XenStoreError.None || !DecimalNumber.TryParse(number, uint.MaxValue, out ulong transaction))
        {
            Fail("no transaction can be started"u8, error);
            return;
        }

        _transaction = (uint)transaction;
        _index = 0;
        WriteNext(XenStoreError.None);
    }

    private void WriteNext(XenStoreError error)
    {
        if (error != XenStoreError.None)
        {
            Xen.Store.TryEndTransaction(_transaction, false, null);
            Fail("a node cannot be written"u8, error);
            return;
        }

        if (_nodes.TryGet(ref _index, out ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value))
        {
            PathBuilder path = new(stackalloc byte[MaximumPath]);
            path.Append(Home);
            path.AppendName(name);
            _step = Step.Write;
            CheckSent(Xen.Store.TryWrite(_transaction, path.Text, value, _reply));
            return;
        }

        _step = Step.TransactionEnd;
        CheckSent(Xen.Store.TryEndTransaction(_transaction, true, _reply));
    }

    private void TakeDetails()
    {
        if (_phase == Phase.Connected)
        {
            Update(_readings);
            Finish();
        }
        else if (!Connect(_readings))
        {
            Log.Line("xen: "u8).Text(Home).Text(": its backend's properties make no sense"u8).End();
            StopAndClose();
        }
        else
        {
            _phase = Phase.Connected;
            if (ReadyState == XenbusState.Connected)
            {
                Finish();
            }
            else
            {
                WriteState(Step.ConnectedState, XenbusState.Connected);
            }
        }
    }

    private void ReadOwn(Step step, ReadOnlySpan<byte> name) => Read(step, Home, name);

    private void ReadBackend(Step step, ReadOnlySpan<byte> name) => Read(step, new ReadOnlySpan<byte>(_backend, 0, _backendLength), name);

    private void Read(Step step, ReadOnlySpan<byte> directory, ReadOnlySpan<byte> name)
    {
        PathBuilder path = new(stackalloc byte[MaximumPath]);
        path.Append(directory);
        path.AppendName(name);
        _step = step;
        CheckSent(Xen.Store.TryRead(0, path.Text, _reply));
    }

    private void WriteState(Step step, XenbusState state)
    {
        PathBuilder path = new(stackalloc byte[MaximumPath]);
        path.Append(Home);
        path.AppendName("state"u8);
        PathBuilder digit = new(stackalloc byte[1]);
        digit.AppendDecimal((ulong)state);
        _step = step;
        CheckSent(Xen.Store.TryWrite(0, path.Text, digit.Text, _reply));
    }

    private void CheckSent(bool wasSent)
    {
        if (!wasSent)
        {
            // The store is broken, or flooded: a restore, or the next event, begins anew.
            Finish();
        }
    }

    private void Fail(ReadOnlySpan<byte> what, XenStoreError error)
    {
        Log.Line("xen: "u8).Text(Home).Text(": "u8).Text(what).Text(", error "u8).Signed((int)error).End();
        LetGo();
        if (_phase != Phase.Gone)
        {
            _phase = Phase.Gone;
            Abandon();
        }

        Finish();
    }

    private sealed class Reply(XenbusFrontend frontend) : StoreReply
    {
        public override void Completed(XenStoreError error, ReadOnlySpan<byte> value) => frontend.Advance(error, value);
    }

    private sealed class Watch(XenbusFrontend frontend) : StoreWatch
    {
        public override void Fired() => frontend.Notice();
    }
}
