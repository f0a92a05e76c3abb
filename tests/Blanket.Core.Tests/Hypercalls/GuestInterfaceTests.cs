using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;

namespace Blanket.Core.Tests;

/// <summary>docs/guest-abi.md says of every hypercall and sub-operation of Xen's public headers (4.17) what a guest gets.</summary>
public sealed partial class GuestInterfaceTests
{
    private const string Page = "guest-abi.md";

    /// <summary>xen.h, __HYPERVISOR_*.</summary>
    [Fact]
    public void EveryHypercallIsListed()
    {
        Dictionary<int, string> hypercalls = new()
        {
            [0] = "set_trap_table",
            [1] = "mmu_update",
            [2] = "set_gdt",
            [3] = "stack_switch",
            [4] = "set_callbacks",
            [5] = "fpu_taskswitch",
            [6] = "sched_op_compat",
            [7] = "platform_op",
            [8] = "set_debugreg",
            [9] = "get_debugreg",
            [10] = "update_descriptor",
            [12] = "memory_op",
            [13] = "multicall",
            [14] = "update_va_mapping",
            [15] = "set_timer_op",
            [16] = "event_channel_op_compat",
            [17] = "xen_version",
            [18] = "console_io",
            [19] = "physdev_op_compat",
            [20] = "grant_table_op",
            [21] = "vm_assist",
            [22] = "update_va_mapping_otherdomain",
            [23] = "iret",
            [24] = "vcpu_op",
            [25] = "set_segment_base",
            [26] = "mmuext_op",
            [27] = "xsm_op",
            [28] = "nmi_op",
            [29] = "sched_op",
            [30] = "callback_op",
            [31] = "xenoprof_op",
            [32] = "event_channel_op",
            [33] = "physdev_op",
            [34] = "hvm_op",
            [35] = "sysctl",
            [36] = "domctl",
            [37] = "kexec_op",
            [38] = "tmem_op",
            [39] = "argo_op",
            [40] = "xenpmu_op",
            [41] = "dm_op",
            [42] = "hypfs_op",
            [48] = "arch_0",
            [49] = "arch_1",
            [50] = "arch_2",
            [55] = "arch_7",
        };
        string[] rows = [.. Rows("Hypercalls")];
        string[] missing = [.. hypercalls.Where(call => !rows.Any(row => Numbers(row).Contains(call.Key) && Names(row).Contains(call.Value))).Select(call => $"{call.Key} {call.Value}")];
        Assert.True(missing.Length == 0, $"{Page} does not list {string.Join(", ", missing)}");
    }

    /// <summary>Headers of public/: version.h, xen.h, memory.h, grant_table.h, event_channel.h, vcpu.h, sched.h, callback.h, physdev.h, nmi.h.</summary>
    [Theory]
    [InlineData("xen_version", "version extraversion compile_info capabilities changeset platform_parameters get_features pagesize guest_handle commandline build_id")]
    [InlineData("console_io", "write read")]
    [InlineData("memory_op", "increase_reservation decrease_reservation populate_physmap maximum_ram_page current_reservation maximum_reservation machphys_mfn_list add_to_physmap translate_gpfn_list memory_map machine_memory_map set_memory_map exchange machphys_mapping maximum_gpfn remove_from_physmap set_pod_target get_pod_target get_sharing_freed_pages get_sharing_shared_pages paging_op access_op sharing_op add_to_physmap_batch claim_pages machphys_compat_mfn_list get_vnumainfo reserved_device_memory_map acquire_resource")]
    [InlineData("mmuext_op", "PIN_L1_TABLE PIN_L2_TABLE PIN_L3_TABLE PIN_L4_TABLE UNPIN_TABLE NEW_BASEPTR TLB_FLUSH_LOCAL INVLPG_LOCAL TLB_FLUSH_MULTI INVLPG_MULTI TLB_FLUSH_ALL INVLPG_ALL FLUSH_CACHE SET_LDT NEW_USER_BASEPTR CLEAR_PAGE COPY_PAGE FLUSH_CACHE_GLOBAL MARK_SUPER UNMARK_SUPER")]
    [InlineData("grant_table_op", "map_grant_ref unmap_grant_ref setup_table dump_table transfer copy query_size unmap_and_replace set_version get_status_frames get_version swap_grant_ref cache_flush")]
    [InlineData("event_channel_op", "bind_interdomain bind_virq bind_pirq close send status alloc_unbound bind_ipi bind_vcpu unmask reset init_control expand_array set_priority reset_cont")]
    [InlineData("vcpu_op", "initialise up down is_up get_runstate_info register_runstate_memory_area set_periodic_timer stop_periodic_timer set_singleshot_timer stop_singleshot_timer register_vcpu_info send_nmi get_physid register_vcpu_time_memory_area")]
    [InlineData("sched_op", "yield block shutdown poll remote_shutdown shutdown_code watchdog pin_override")]
    [InlineData("callback_op", "event failsafe syscall sysenter_deprecated nmi sysenter syscall32")]
    [InlineData("physdev_op", "eoi irq_status_query set_iopl set_iobitmap apic_read apic_write alloc_irq_vector free_irq_vector IRQ_UNMASK_NOTIFY map_pirq unmap_pirq manage_pci_add manage_pci_remove restore_msi manage_pci_add_ext setup_gsi get_free_pirq pirq_eoi_gmfn_v1 pirq_eoi_gmfn_v2 pci_mmcfg_reserved pci_device_add pci_device_remove restore_msi_ext dbgp_op prepare_msix release_msix")]
    [InlineData("nmi_op", "register_callback unregister_callback")]
    [InlineData("vm_assist", "4gb_segments 4gb_segments_notify writable_pagetables pae_extended_cr3 architectural_iopl runstate_update_flag m2p_strict")]
    public void EverySubOperationIsListed(string hypercall, string operations)
    {
        HashSet<string> listed = [.. Section(hypercall).SelectMany(Names)];
        string[] missing = [.. operations.Split(' ').Where(operation => !listed.Contains(operation) && !listed.Any(name => IsFamilyOf(name, operation)))];
        Assert.True(missing.Length == 0, $"{Page}, section {hypercall}, does not list {string.Join(", ", missing)}");
    }

    /// <summary>Names such as <c>pci_*</c> stand for all that start so.</summary>
    private static bool IsFamilyOf(string name, string operation) => name.EndsWith('*') && operation.StartsWith(name[..^1], StringComparison.Ordinal);

    private static IEnumerable<string> Names(string row) => Name().Matches(row).Select(match => match.Value);

    /// <summary>The numbers in a row's first cell: <c>8, 9</c> and <c>50-55</c>.</summary>
    private static IEnumerable<int> Numbers(string row) =>
        Range().Matches(row.Split('|')[1]).SelectMany(match =>
        {
            int first = int.Parse(match.Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture);
            int last = match.Groups[2].Success ? int.Parse(match.Groups[2].Value, System.Globalization.CultureInfo.InvariantCulture) : first;
            return Enumerable.Range(first, last - first + 1);
        });

    private static IEnumerable<string> Rows(string heading) => Section(heading).Where(line => line.StartsWith('|'));

    /// <summary>The lines between a heading and the next one.</summary>
    private static IEnumerable<string> Section(string heading)
    {
        string[] lines = File.ReadAllLines(Path.Combine(Documents(), Page));
        int start = Array.FindIndex(lines, line => line.StartsWith('#') && line.TrimStart('#').Trim() == heading);
        Assert.True(start >= 0, $"{Page} has no section {heading}");
        return lines.Skip(start + 1).TakeWhile(line => !line.StartsWith('#'));
    }

    private static string Documents()
    {
        for (DirectoryInfo? directory = new(AppContext.BaseDirectory); directory is not null; directory = directory.Parent)
        {
            string path = Path.Combine(directory.FullName, "docs");
            if (File.Exists(Path.Combine(path, Page)))
            {
                return path;
            }
        }

        throw new InvalidOperationException($"there is no docs/{Page} above {AppContext.BaseDirectory}");
    }

    [GeneratedRegex(@"[A-Za-z0-9_]+\*?")]
    private static partial Regex Name();

    [GeneratedRegex(@"(\d+)(?:-(\d+))?")]
    private static partial Regex Range();
}
