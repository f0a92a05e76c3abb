using System;
using System.Threading;
using Blanket.Drivers.Pci;
using Blanket.Machine;

namespace Blanket.Drivers.Virtio;

/// <summary>A device's record of misbehaviour: whether it must be reset, and how often it was logged.</summary>
/// <param name="function">The device, for log lines.</param>
internal sealed class VirtioHealth(PciAddress function)
{
    private const uint LoggedInFull = 4;
    private readonly PciAddress _function = function;
    private bool _needsReset;
    private uint _faults;
    private VirtioFault _breakingFault;
    private int _breakingQueue;
    private uint _breakingDetail;

    /// <summary>Whether there was a fault after which the device must be reset.</summary>
    public bool NeedsReset => Volatile.Read(ref _needsReset);

    /// <summary>Faults so far, of all kinds.</summary>
    public uint Faults => Volatile.Read(ref _faults);

    /// <summary>Notes a fault after which the device must be reset. Takes no lock and logs nothing: that is for the reset to do.</summary>
    public void Break(VirtioFault fault, int queue, uint detail)
    {
        _breakingFault = fault;
        _breakingQueue = queue;
        _breakingDetail = detail;
        Volatile.Write(ref _needsReset, true);
    }

    /// <summary>Logs the fault that broke the device and forgets it.</summary>
    public void AcknowledgeReset()
    {
        Report(_breakingFault, _breakingQueue, _breakingDetail);
        Volatile.Write(ref _needsReset, false);
    }

    /// <summary>
    /// Counts a fault and logs it: the first few, then each time the count reaches a power of two, so that a device cannot fill the
    /// log. The caller holds no lock above <see cref="LockClass.Log"/>.
    /// </summary>
    public void Report(VirtioFault fault, int queue, uint detail)
    {
        uint count = Interlocked.Increment(ref _faults);
        if (count > LoggedInFull && (count & (count - 1)) != 0)
        {
            return;
        }

        LogLine line = Log.Line("virtio "u8);
        _function.AppendTo(ref line);
        line.Text(" queue "u8).Decimal((uint)queue).Text(": "u8).Text(Describe(fault)).Text(" ("u8).Hex(detail)
            .Text("), fault "u8).Decimal(count).End();
    }

    private static ReadOnlySpan<byte> Describe(VirtioFault fault) => fault switch
    {
        VirtioFault.UsedIndexJump => "the used index is ahead of what was offered"u8,
        VirtioFault.IdOutOfRange => "a used id is out of range"u8,
        VirtioFault.IdNotInFlight => "a used id is not in flight"u8,
        VirtioFault.WrongLength => "a used length does not fit its buffer"u8,
        VirtioFault.BadPacketHeader => "a received packet's header does not fit the packet"u8,
        VirtioFault.MissingBuffers => "a received packet lacks buffers"u8,
        VirtioFault.BadControlMessage => "a control message makes no sense"u8,
        VirtioFault.CommandFailed => "a control command failed"u8,
        VirtioFault.AsksForReset => "the device asks for a reset"u8,
        _ => "no fault"u8,
    };
}
