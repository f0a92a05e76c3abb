#if METAL
using System.Runtime;
using System.Runtime.CompilerServices;

namespace Blanket.Machine;

/// <summary>Assembly that only the entry code's C# side uses (Assembly/cpu.S): link-time addresses and guest state switches.</summary>
public static unsafe class Privileged
{
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "exception_stubs_address")]
    internal static extern byte* ExceptionStubs();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "debug_entry_address")]
    internal static extern byte* DebugEntry();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "nmi_entry_address")]
    internal static extern byte* NmiEntry();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "double_fault_entry_address")]
    internal static extern byte* DoubleFaultEntry();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "machine_check_entry_address")]
    internal static extern byte* MachineCheckEntry();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "syscall_stubs_address")]
    internal static extern byte* SyscallStubs();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "syscall32_entry_address")]
    internal static extern byte* Syscall32Entry();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "sysenter_entry_address")]
    internal static extern byte* SysenterEntry();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "syscall_entry_address")]
    internal static extern byte* SyscallEntry();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "smap_sites_start_address")]
    internal static extern ulong* SmapSitesStart();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "smap_sites_end_address")]
    internal static extern ulong* SmapSitesEnd();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "swap_gs")]
    internal static extern void SwapGs();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "fs_selector_load")]
    internal static extern uint LoadFs(ushort selector);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "gs_selector_load")]
    internal static extern uint LoadGs(ushort selector);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "ds_selector_load")]
    internal static extern uint LoadDs(ushort selector);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "es_selector_load")]
    internal static extern uint LoadEs(ushort selector);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "selectors_read")]
    internal static extern ulong ReadSelectors();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "extended_control_write")]
    internal static extern void WriteExtendedControl(ulong value);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "vector_state_save")]
    internal static extern void SaveVectorState(VcpuState* state, byte* area, ulong components);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "vector_state_load")]
    internal static extern uint LoadVectorState(VcpuState* state, byte* area, ulong components);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "debug_registers_load")]
    internal static extern void LoadDebugRegisters(ulong* registers);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "debug_control_clear")]
    internal static extern void ClearDebugControl();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "debug_status_read")]
    public static extern ulong ReadDebugStatus();

    /// <summary>Gives up the running stack and goes to the exit path; never returns.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "resume_exit_path")]
    public static extern void ResumeExitPath();
}
#endif
