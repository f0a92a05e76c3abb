using Blanket.Core.Domains;

namespace Blanket.Core.Processor;

/// <summary>
/// Machine-check registers of a guest (Intel SDM vol. 3, 16.3): two banks in which nothing is ever reported.
/// </summary>
internal static class MachineCheckRegisters
{
    /// <summary>Banks of a guest.</summary>
    internal const int Banks = 2;

    private const uint P5Address = 0;
    private const uint P5Type = 1;
    private const uint Capabilities = 0x179;
    private const uint Status = 0x17a;
    private const uint Control = 0x17b;
    private const uint FirstControl2 = 0x280;
    private const uint LastControl2 = 0x29f;
    private const uint FirstBank = 0x400;
    private const uint LastBank = 0x47f;
    private const uint ExtendedControl = 0x4d0;
    private const int RegistersPerBank = 4;
    private const uint BankControl = 0;

    // Software error recovery and threshold-based error status, which Intel CPUs have.
    private const ulong IntelCapabilities = (1 << 24) | (1 << 11);

    /// <summary>Whether a register is one of these.</summary>
    internal static bool Contains(uint index) =>
        index is P5Address or P5Type or (>= Capabilities and <= Control) or (>= FirstControl2 and <= LastControl2)
            or (>= FirstBank and <= LastBank) or ExtendedControl;

    /// <summary>Reads one; false for #GP.</summary>
    internal static bool TryRead(Vcpu vcpu, uint index, out ulong value)
    {
        value = 0;
        switch (index)
        {
            case ExtendedControl:
                return false;
            case Capabilities:
                value = Banks | (CpuidPolicy.Current.Vendor == CpuVendor.Intel ? IntelCapabilities : 0);
                return true;
            case Status:
                value = vcpu.MachineCheckStatus;
                return true;
            case >= FirstControl2 and <= LastControl2:
                value = IsBank(index - FirstControl2) ? vcpu.MachineCheckControl2[index - FirstControl2] : 0;
                return true;
            case >= FirstBank and <= LastBank:
                // Every error source is enabled and stays so.
                bool isControl = (index - FirstBank) % RegistersPerBank == BankControl;
                value = isControl && IsBank((index - FirstBank) / RegistersPerBank) ? ulong.MaxValue : 0;
                return true;
            default:
                return true;
        }
    }

    /// <summary>Writes one; false for #GP.</summary>
    internal static bool TryWrite(Vcpu vcpu, uint index, ulong value)
    {
        switch (index)
        {
            case P5Address or P5Type or ExtendedControl:
                return false;
            case Status:
                vcpu.MachineCheckStatus = value;
                return true;
            case >= FirstControl2 and <= LastControl2:
                if (IsBank(index - FirstControl2) && CpuidPolicy.Current.Vendor == CpuVendor.Intel)
                {
                    vcpu.MachineCheckControl2[index - FirstControl2] = value;
                }

                return true;
            case >= FirstBank and <= LastBank:
                // Status, address and miscellaneous registers take only 0.
                return value == 0
                    || (index - FirstBank) % RegistersPerBank == BankControl
                    || !IsBank((index - FirstBank) / RegistersPerBank);
            default:
                return true;
        }
    }

    private static bool IsBank(uint bank) => bank < Banks;
}
