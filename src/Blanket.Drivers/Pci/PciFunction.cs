using System.Runtime.CompilerServices;
using Blanket.Machine;

namespace Blanket.Drivers.Pci;

/// <summary>A function that a driver takes: its identity, its BARs, its command register.</summary>
public sealed class PciFunction
{
    private readonly PciConfiguration _configuration;
    private readonly PciBar[] _bars;

    /// <summary>Reads the function's registers; its decoding is off while BARs are sized.</summary>
    public PciFunction(PciConfiguration configuration, PciAddress address)
    {
        _configuration = configuration;
        Address = address;
        VendorId = configuration.Read16(address, PciRegister.VendorId);
        DeviceId = configuration.Read16(address, PciRegister.DeviceId);
        SubsystemId = configuration.Read16(address, PciRegister.SubsystemId);
        RevisionId = configuration.Read8(address, PciRegister.RevisionId);
        _bars = CreateBars(configuration, address);
    }

    public PciAddress Address { get; }

    public ushort VendorId { get; }

    public ushort DeviceId { get; }

    public ushort SubsystemId { get; }

    public byte RevisionId { get; }

    /// <summary>The way to its registers.</summary>
    public PciConfiguration Configuration => _configuration;

    /// <summary>Interrupt pin, 1 to 4; 0 for none.</summary>
    public byte InterruptPin => _configuration.Read8(Address, PciRegister.InterruptPin);

    /// <summary>Interrupt line as the firmware wrote it.</summary>
    public byte InterruptLine => _configuration.Read8(Address, PciRegister.InterruptLine);

    /// <summary>Whether a BAR that is implemented has no address.</summary>
    public bool HasUnassignedBar
    {
        get
        {
            for (int i = 0; i < _bars.Length; i++)
            {
                if (_bars[i].IsUnassigned)
                {
                    return true;
                }
            }

            return false;
        }
    }

    /// <summary>A BAR; all zero for one that does not exist.</summary>
    public PciBar Bar(int index) => (uint)index < (uint)_bars.Length ? _bars[index] : default;

    /// <summary>Gives every unassigned BAR an address; those without room stay unassigned.</summary>
    public void AssignBars(PciResources resources)
    {
        ushort command = StopDecoding(_configuration, Address);
        for (int i = 0; i < _bars.Length; i++)
        {
            if (_bars[i].IsUnassigned && resources.TryAllocate(Address, in _bars[i], out ulong address))
            {
                _bars[i].Assign(_configuration, Address, i, address);
            }
        }

        _configuration.Write16(Address, PciRegister.Command, command);
    }

    /// <summary>Lets the function decode its BARs and access memory.</summary>
    public void Enable()
    {
        ushort command = (ushort)(_configuration.Read16(Address, PciRegister.Command) | PciCommand.BusMaster);
        for (int i = 0; i < _bars.Length; i++)
        {
            if (_bars[i].Length != 0 && _bars[i].Address != 0)
            {
                command |= _bars[i].IsIo ? PciCommand.IoSpace : PciCommand.MemorySpace;
            }
        }

        _configuration.Write16(Address, PciRegister.Command, command);
    }

    /// <summary>Takes memory access, and with it message-signalled interrupts, away from the function.</summary>
    public void DisableBusMastering() => Change(PciCommand.BusMaster, 0);

    /// <summary>Whether the function may raise its interrupt pin.</summary>
    public void SetLineEnabled(bool enabled) =>
        Change(PciCommand.InterruptDisable, enabled ? (ushort)0 : PciCommand.InterruptDisable);

    /// <summary>A window on a part of a BAR.</summary>
    /// <returns>False when the BAR is missing, unassigned or too short, or there is no room to map it.</returns>
    public bool TryMap(DeviceMapper mapper, int barIndex, ulong offset, ulong length, out DeviceRegisters registers)
    {
        registers = default;
        PciBar bar = Bar(barIndex);
        if (bar.Address == 0 || length == 0 || offset > bar.Length || length > bar.Length - offset)
        {
            return false;
        }

        if (bar.IsIo)
        {
            if (bar.Address + bar.Length > 0x10000)
            {
                return false;
            }

            registers = DeviceRegisters.OfPorts((ushort)(bar.Address + offset), (ushort)length);
            return true;
        }

        registers = mapper.Map(bar.Address + offset, length);
        return registers.Length >= length;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static PciBar[] CreateBars(PciConfiguration configuration, PciAddress function)
    {
        // A bridge's header has two BARs, and its decoding is not touched: devices behind it may be in use.
        bool isBridge = PciScan.IsBridge(configuration, function);
        PciBar[] bars = new PciBar[isBridge ? 0 : PciBar.MaximumCount];
        if (isBridge)
        {
            return bars;
        }

        ushort command = StopDecoding(configuration, function);
        for (int i = 0; i < bars.Length; i++)
        {
            bars[i] = PciBar.Read(configuration, function, i, i + 1 < bars.Length);
            if (bars[i].Is64)
            {
                i++;
            }
        }

        configuration.Write16(function, PciRegister.Command, command);
        return bars;
    }

    private static ushort StopDecoding(PciConfiguration configuration, PciAddress function)
    {
        ushort command = configuration.Read16(function, PciRegister.Command);
        configuration.Write16(
            function, PciRegister.Command, (ushort)(command & ~(PciCommand.IoSpace | PciCommand.MemorySpace)));
        return command;
    }

    private void Change(ushort mask, ushort value)
    {
        ushort command = _configuration.Read16(Address, PciRegister.Command);
        _configuration.Write16(Address, PciRegister.Command, (ushort)((command & ~mask) | value));
    }
}
