using Blanket.Machine;

namespace Blanket.Drivers.Pci;

/// <summary>MSI-X: a table of message-signalled interrupts in a BAR (PCI Local Bus 3.0, 6.8.2).</summary>
public sealed class Msix
{
    private const int ControlOffset = 2;
    private const int TableOffset = 4;
    private const int PendingOffset = 8;
    private const ushort SizeMask = 0x7ff;
    private const ushort FunctionMask = 1 << 14;
    private const ushort EnableBit = 1 << 15;
    private const uint BarMask = 7;
    private const int EntrySize = 16;
    private const uint VectorMasked = 1;

    private readonly PciFunction _function;
    private readonly int _capability;
    private readonly DeviceRegisters _table;
    private readonly DeviceRegisters _pending;

    private Msix(PciFunction function, int capability, int count, DeviceRegisters table, DeviceRegisters pending)
    {
        _function = function;
        _capability = capability;
        VectorCount = count;
        _table = table;
        _pending = pending;
    }

    /// <summary>Entries of the table, 1 to 2048.</summary>
    public int VectorCount { get; }

    /// <summary>Maps the tables of a function and masks every vector; null when it has no usable MSI-X.</summary>
    public static Msix? Create(PciFunction function, DeviceMapper mapper)
    {
        PciConfiguration configuration = function.Configuration;
        if (!PciCapabilities.TryFind(configuration, function.Address, PciCapabilityId.Msix, out int capability)
            || capability > PciConfiguration.SpaceSize - 12)
        {
            return null;
        }

        int count = (configuration.Read16(function.Address, capability + ControlOffset) & SizeMask) + 1;
        uint table = configuration.Read32(function.Address, capability + TableOffset);
        uint pending = configuration.Read32(function.Address, capability + PendingOffset);
        if (!function.TryMap(mapper, (int)(table & BarMask), table & ~BarMask, (uint)count * EntrySize, out DeviceRegisters tableWindow)
            || !function.TryMap(mapper, (int)(pending & BarMask), pending & ~BarMask, (uint)(count + 63) / 64 * 8, out DeviceRegisters pendingWindow))
        {
            return null;
        }

        Msix msix = new(function, capability, count, tableWindow, pendingWindow);
        msix.Disable();
        for (int i = 0; i < count; i++)
        {
            msix.SetMasked(i, true);
        }

        return msix;
    }

    /// <summary>Turns message-signalled interrupts on; the interrupt pin is off from here on.</summary>
    public void Enable() => SetControl(EnableBit);

    /// <summary>Turns them off.</summary>
    public void Disable() => SetControl(0);

    /// <summary>Sets what a vector writes, and unmasks it.</summary>
    public void Program(int vector, MessageSignal signal)
    {
        ulong entry = Entry(vector);
        SetMasked(vector, true);
        _table.Write64(entry, signal.Address);
        _table.Write32(entry + 8, signal.Data);
        SetMasked(vector, false);
    }

    /// <summary>Masks or unmasks a vector; while masked, an interrupt is kept pending.</summary>
    public void SetMasked(int vector, bool masked)
    {
        ulong control = Entry(vector) + 12;
        uint value = _table.Read32(control) & ~VectorMasked;
        _table.Write32(control, masked ? value | VectorMasked : value);
    }

    /// <summary>Whether a masked vector has an interrupt to deliver.</summary>
    public bool IsPending(int vector)
    {
        Check.That((uint)vector < (uint)VectorCount);
        return (_pending.Read32((ulong)(vector / 32) * 4) >> (vector & 31) & 1) != 0;
    }

    private ulong Entry(int vector)
    {
        Check.That((uint)vector < (uint)VectorCount);
        return (ulong)vector * EntrySize;
    }

    private void SetControl(ushort bits)
    {
        int offset = _capability + ControlOffset;
        ushort control = _function.Configuration.Read16(_function.Address, offset);
        _function.Configuration.Write16(
            _function.Address, offset, (ushort)((control & ~(EnableBit | FunctionMask)) | bits));
    }
}
