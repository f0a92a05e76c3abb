using Blanket.Drivers.Pci;

namespace Blanket.Drivers.Virtio;

/// <summary>How a device's interrupts are wired: MSI-X as far as the vectors go, or MSI, or its pin.</summary>
internal sealed class VirtioInterrupts
{
    private readonly ushort[] _vectors;

    private VirtioInterrupts(int groups) => _vectors = new ushort[groups];

    /// <summary>MSI-X vectors in use; 0 with MSI or a pin.</summary>
    public int VectorCount { get; private set; }

    /// <summary>Whether the pin is used.</summary>
    public bool UsesLine { get; private set; }

    /// <summary>Vector of configuration changes and of control queues.</summary>
    public ushort ConfigurationVector => VectorCount != 0 ? (ushort)0 : VirtioTransport.NoVector;

    /// <summary>Vector of a queue group.</summary>
    public ushort VectorOf(int group) =>
        VectorCount == 0 ? VirtioTransport.NoVector : group < 0 ? ConfigurationVector : _vectors[group];

    /// <summary>Wires a device's interrupts; null when there is no way to get any.</summary>
    public static VirtioInterrupts? Create(VirtioDevice device, PciFunction function, DeviceMapper mapper, InterruptAllocator allocator)
    {
        VirtioInterrupts interrupts = new(device.GroupCount);
        Msix? msix = Msix.Create(function, mapper);
        if (msix != null && interrupts.CreateVectors(device, msix, allocator))
        {
            device.Transport.SetHasVectors(true);
            return interrupts;
        }

        VirtioInterrupt handler = new(device) { HasConfiguration = true, GroupStep = 1, ReadsStatus = true };
        if (Msi.Exists(function) && allocator.TryAllocate(handler, out MessageSignal signal) && Msi.TryProgram(function, signal))
        {
            return interrupts;
        }

        if (function.InterruptPin is 0 or > 4
            || !allocator.TryAttachLine(function.Address, function.InterruptPin, function.InterruptLine, handler))
        {
            return null;
        }

        function.SetLineEnabled(true);
        interrupts.UsesLine = true;
        return interrupts;
    }

    // Vector 0 is the configuration's, the others are shared out among the groups; one vector alone does everything.
    private bool CreateVectors(VirtioDevice device, Msix msix, InterruptAllocator allocator)
    {
        int wanted = System.Math.Min(1 + device.GroupCount, msix.VectorCount);
        VirtioInterrupt[] handlers = new VirtioInterrupt[wanted];
        int have = 0;
        for (; have < wanted; have++)
        {
            handlers[have] = new VirtioInterrupt(device);
            int cpu = have == 0 ? 0 : (have - 1) % System.Math.Max(1, allocator.CpuCount);
            if (!allocator.TryAllocate(handlers[have], cpu, out MessageSignal signal))
            {
                break;
            }

            msix.Program(have, signal);
        }

        if (have == 0)
        {
            return false;
        }

        handlers[0].HasConfiguration = true;
        int shares = have - 1;
        for (int vector = 1; vector < have; vector++)
        {
            handlers[vector].FirstGroup = vector - 1;
            handlers[vector].GroupStep = shares;
        }

        if (shares == 0)
        {
            handlers[0].GroupStep = 1;
        }

        for (int group = 0; group < _vectors.Length; group++)
        {
            _vectors[group] = shares == 0 ? (ushort)0 : (ushort)(1 + group % shares);
        }

        VectorCount = have;
        msix.Enable();
        return true;
    }
}
