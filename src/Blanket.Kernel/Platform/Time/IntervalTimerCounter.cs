using Blanket.Machine;

namespace Blanket.Kernel.Platform.Time;

/// <summary>Channel 2 of the 8254 interval timer (Intel 8254 datasheet), counting 2^16 down and around.</summary>
internal sealed class IntervalTimerCounter : ReferenceCounter
{
    private const ushort DataPort = 0x42, CommandPort = 0x43, GatePort = 0x61;
    private const byte RateGenerator = 0xb4, Latch = 0x80;
    private const byte GateBit = 1, SpeakerBit = 2;

    private IntervalTimerCounter()
    {
    }

    /// <inheritdoc/>
    internal override ulong Frequency => 1_193_182;

    /// <inheritdoc/>
    internal override uint Mask => 0xffff;

    /// <summary>Starts the counter.</summary>
    internal static IntervalTimerCounter CreateStarted()
    {
        byte gate = Cpu.PortRead8(GatePort);
        Cpu.PortWrite8(GatePort, (byte)((gate & ~SpeakerBit) | GateBit));
        Cpu.PortWrite8(CommandPort, RateGenerator);
        Cpu.PortWrite8(DataPort, 0);
        Cpu.PortWrite8(DataPort, 0);
        return new IntervalTimerCounter();
    }

    /// <inheritdoc/>
    internal override uint Read()
    {
        Cpu.PortWrite8(CommandPort, Latch);
        uint low = Cpu.PortRead8(DataPort);
        uint high = Cpu.PortRead8(DataPort);
        return unchecked(0u - (low | (high << 8)));
    }
}
