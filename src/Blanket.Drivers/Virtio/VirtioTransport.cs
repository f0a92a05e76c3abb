using Blanket.Drivers.Pci;
using Blanket.Machine;

namespace Blanket.Drivers.Virtio;

/// <summary>How a driver talks to a virtio device over PCI (virtio 1.2, 4.1).</summary>
internal abstract class VirtioTransport
{
    /// <summary>Value of a vector register that means "none" (4.1.4.3).</summary>
    public const ushort NoVector = 0xffff;

    // A reset is over at once on every software device; hardware may take a moment.
    private const int ResetPolls = 200_000;

    private const int StableReadTries = 16;

    /// <summary>Whether the device follows virtio 1.0 or later.</summary>
    public abstract bool IsModern { get; }

    /// <summary>First physical address that the device's rings cannot be at.</summary>
    public abstract ulong RingAddressLimit { get; }

    /// <summary>Device status (2.1).</summary>
    public abstract byte Status { get; set; }

    /// <summary>Features that the device offers.</summary>
    public abstract ulong ReadDeviceFeatures();

    /// <summary>Tells the device which of them are used.</summary>
    public abstract void WriteDriverFeatures(ulong features);

    /// <summary>The most entries of a queue (a legacy device: the exact number); 0 when there is no such queue.</summary>
    public abstract ushort ReadQueueSize(int queue);

    /// <summary>Tells the device where a queue is and which vector it raises, and turns it on.</summary>
    /// <returns>False when the device refuses.</returns>
    public abstract bool TryEnableQueue(Virtqueue queue, ushort vector);

    /// <summary>Tells the device that a queue has something for it. Needs no lock.</summary>
    public abstract void Notify(Virtqueue queue);

    /// <summary>Vector of configuration changes; false when the device refuses it.</summary>
    public abstract bool TrySetConfigurationVector(ushort vector);

    /// <summary>Reads and clears the interrupt status: bit 0 queues, bit 1 configuration (4.1.4.5).</summary>
    public abstract byte ReadInterruptStatus();

    /// <summary>Changes whenever the device changes its configuration (2.5); always 0 on legacy devices.</summary>
    protected abstract byte ReadGeneration();

    /// <summary>Bytes of the device-specific configuration that can be read.</summary>
    protected abstract DeviceRegisters DeviceConfiguration { get; }

    /// <summary>Message-signalled interrupts move a legacy device's configuration.</summary>
    public virtual void SetHasVectors(bool hasVectors)
    {
    }

    /// <summary>A field of the device's configuration; 0 when the device does not have it.</summary>
    public byte ReadConfiguration8(uint offset) =>
        offset < DeviceConfiguration.Length ? DeviceConfiguration.Read8(offset) : (byte)0;

    /// <inheritdoc cref="ReadConfiguration8"/>
    public ushort ReadConfiguration16(uint offset) =>
        offset + 2 <= DeviceConfiguration.Length ? DeviceConfiguration.Read16(offset) : (ushort)0;

    /// <inheritdoc cref="ReadConfiguration8"/>
    public uint ReadConfiguration32(uint offset) =>
        offset + 4 <= DeviceConfiguration.Length ? DeviceConfiguration.Read32(offset) : 0;

    /// <summary>A 64-bit field, read in halves that belong together (2.5.1).</summary>
    public ulong ReadConfiguration64(uint offset)
    {
        ulong value = 0;
        ulong again = 0;
        for (int i = 0; i < StableReadTries; i++)
        {
            byte generation = ReadGeneration();
            value = ReadConfiguration32(offset) | ((ulong)ReadConfiguration32(offset + 4) << 32);
            if (IsModern)
            {
                if (ReadGeneration() == generation)
                {
                    break;
                }
            }
            else if (i > 0 && value == again)
            {
                // No generation: read until it reads the same twice.
                break;
            }

            again = value;
        }

        return value;
    }

    /// <summary>Resets the device: it accesses memory no longer when this succeeds (2.4, 4.1.4.3.2).</summary>
    /// <returns>False when the device did not report the end of the reset in time.</returns>
    public bool TryReset()
    {
        Status = 0;
        for (int i = 0; i < ResetPolls; i++)
        {
            if (Status == 0)
            {
                return true;
            }

            Cpu.Pause();
        }

        return false;
    }
}
