using System;
using System.Threading;
using Blanket.Machine;

namespace Blanket.Drivers.Xen;

/// <summary>A backend's record of misbehaviour: whether its device must be closed and opened again, and how often it was logged.</summary>
/// <param name="kind">"vbd" or "vif".</param>
/// <param name="id">The device's number, for log lines.</param>
internal sealed class FrontendHealth(FrontendKind kind, uint id)
{
    private const uint LoggedInFull = 4;
    private bool _isBroken;
    private uint _faults;
    private FrontendFault _breakingFault;
    private int _breakingQueue;
    private ulong _breakingDetail;

    /// <summary>Whether there was a fault after which nothing in the rings can be believed.</summary>
    public bool IsBroken => Volatile.Read(ref _isBroken);

    /// <summary>Faults so far, of all kinds.</summary>
    public uint Faults => Volatile.Read(ref _faults);

    /// <summary>Notes a fault after which the device must be opened again. Takes no lock and logs nothing: that is for the recovery to do.</summary>
    public void Break(FrontendFault fault, int queue, ulong detail)
    {
        if (_isBroken)
        {
            return;
        }

        _breakingFault = fault;
        _breakingQueue = queue;
        _breakingDetail = detail;
        Volatile.Write(ref _isBroken, true);
    }

    /// <summary>Logs the fault that broke the device.</summary>
    public void ReportBreak() => Report(_breakingFault, _breakingQueue, _breakingDetail);

    /// <summary>The device has been opened again.</summary>
    public void Forget() => Volatile.Write(ref _isBroken, false);

    /// <summary>
    /// Counts a fault and logs it: the first few, then each time the count reaches a power of two, so that a backend cannot fill the
    /// log. The caller holds no lock above <see cref="LockClass.Log"/>.
    /// </summary>
    public void Report(FrontendFault fault, int queue, ulong detail)
    {
        uint count = Interlocked.Increment(ref _faults);
        if (count > LoggedInFull && (count & (count - 1)) != 0)
        {
            return;
        }

        Log.Line(kind == FrontendKind.Block ? "xen vbd "u8 : "xen vif "u8).Decimal(id).Text(" queue "u8).Decimal((uint)queue).Text(": "u8)
            .Text(Describe(fault)).Text(" ("u8).Hex(detail).Text("), fault "u8).Decimal(count).End();
    }

    private static ReadOnlySpan<byte> Describe(FrontendFault fault) => fault switch
    {
        FrontendFault.ResponseIndexJump => "the response index is ahead of what was asked"u8,
        FrontendFault.IdNotInFlight => "a response's id is not in flight"u8,
        FrontendFault.PageStillInUse => "a page is still in use after its response"u8,
        FrontendFault.WrongPlace => "a received piece is not inside its page"u8,
        FrontendFault.EndlessPacket => "a received packet does not end"u8,
        FrontendFault.BadExtraInfo => "a received packet has extra information that makes no sense"u8,
        FrontendFault.BadPacket => "a received packet's headers do not fit its flags"u8,
        FrontendFault.NotCopied => "a received packet could not be copied"u8,
        _ => "no fault"u8,
    };
}

/// <summary>Kinds of devices of Xen's.</summary>
internal enum FrontendKind : byte
{
    Block,
    Net,
}
