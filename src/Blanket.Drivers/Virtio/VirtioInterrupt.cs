using Blanket.Machine;

namespace Blanket.Drivers.Virtio;

/// <summary>One interrupt of a device: a share of its queue groups, the configuration, or both.</summary>
internal sealed class VirtioInterrupt(VirtioDevice device) : InterruptHandler
{
    /// <summary>Whether it tells of configuration changes.</summary>
    public bool HasConfiguration { get; set; }

    /// <summary>First queue group.</summary>
    public int FirstGroup { get; set; }

    /// <summary>Distance to the next group; 0 for no groups at all.</summary>
    public int GroupStep { get; set; }

    /// <summary>Whether the device's interrupt status tells what happened, and is lowered by reading it.</summary>
    public bool ReadsStatus { get; set; }

    /// <inheritdoc/>
    public override void Handle()
    {
        const byte queueBit = 1;
        const byte configurationBit = 2;
        byte status = ReadsStatus ? device.Transport.ReadInterruptStatus() : (byte)(queueBit | configurationBit);
        if (HasConfiguration && (status & configurationBit) != 0)
        {
            device.HandleConfiguration();
        }

        if (GroupStep == 0 || (status & queueBit) == 0)
        {
            return;
        }

        if (ReadsStatus && HasConfiguration)
        {
            // Without vectors the control queue's interrupt looks like any queue's.
            device.HandleControlQueue();
        }

        for (int group = FirstGroup; group < device.GroupCount; group += GroupStep)
        {
            device.HandleGroup(group);
        }
    }
}

/// <summary>Later work of one queue group.</summary>
internal sealed class VirtioGroupWork(VirtioDevice device, int group) : InterruptHandler
{
    /// <inheritdoc/>
    public override void Handle() => device.HandleGroup(group);
}
