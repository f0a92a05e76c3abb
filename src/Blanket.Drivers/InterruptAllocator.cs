using Blanket.Drivers.Pci;
using Blanket.Machine;

namespace Blanket.Drivers;

/// <summary>What a device writes to raise a message-signalled interrupt.</summary>
/// <param name="address">Physical address of the write.</param>
/// <param name="data">Value written.</param>
public readonly struct MessageSignal(ulong address, uint data)
{
    /// <summary>Physical address of the write.</summary>
    public readonly ulong Address = address;

    /// <summary>Value written.</summary>
    public readonly uint Data = data;
}

/// <summary>Gives interrupt vectors to devices; implemented where the interrupt controllers are.</summary>
public abstract class InterruptAllocator
{
    /// <summary>CPUs that take interrupts: devices with several queues use at most so many.</summary>
    public abstract int CpuCount { get; }

    /// <summary>A vector of its own for a handler, on a CPU of the allocator's choice.</summary>
    /// <returns>False when vectors are out.</returns>
    public abstract bool TryAllocate(InterruptHandler handler, out MessageSignal signal);

    /// <summary>The same, on a CPU that is asked for; another one is allowed.</summary>
    public virtual bool TryAllocate(InterruptHandler handler, int cpu, out MessageSignal signal) => TryAllocate(handler, out signal);

    /// <summary>Attaches a handler to a function's interrupt pin: level-triggered, active low, possibly shared with others.</summary>
    /// <param name="function">The function that raises it.</param>
    /// <param name="pin">1 to 4 for INTA# to INTD# (PCI Local Bus 3.0, 6.2.4).</param>
    /// <param name="line">What the firmware wrote into the interrupt line register; 255 for unknown.</param>
    /// <param name="handler">Reads the device's interrupt status, which lowers the line.</param>
    /// <returns>False when the pin leads nowhere known.</returns>
    public abstract bool TryAttachLine(PciAddress function, byte pin, byte line, InterruptHandler handler);

    /// <summary>
    /// Asks for a call of <see cref="InterruptHandler.Handle"/> on this CPU after other pending work has had its turn;
    /// once, however often it is asked for before. Takes no lock, never logs: callers may hold any lock.
    /// </summary>
    public abstract void RunLater(InterruptHandler handler);
}
