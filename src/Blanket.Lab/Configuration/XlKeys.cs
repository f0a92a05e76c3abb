using System;
using System.Collections.Frozen;
using System.Collections.Generic;

namespace Blanket.Lab.Configuration;

/// <summary>Keys of xl.cfg(5) that <see cref="GuestConfigurationReader"/> does not act on, and why.</summary>
internal static class XlKeys
{
    private const string Hvm = "is for HVM guests";
    private const string Toolstack = "is for xl's own toolstack";
    private const string Unsupported = "is not supported; the guest starts without it";

    private static readonly FrozenDictionary<string, string> Reasons = Build().ToFrozenDictionary(StringComparer.Ordinal);

    /// <summary>Why a key has no effect, or null when xl.cfg(5) does not know it either.</summary>
    internal static string? ReasonToIgnore(string key) => Reasons.GetValueOrDefault(key);

    private static Dictionary<string, string> Build()
    {
        Dictionary<string, string> reasons = new(StringComparer.Ordinal);
        Add(Hvm, """
            boot hdtype hap oos shadow_memory bios bios_path_override ms_vm_genid acpi acpi_s3 acpi_s4 acpi_laptop_slate apic nx pae nestedhvm
            hpet viridian xen_platform_pci device_model_version device_model_override device_model_stubdomain_override
            device_model_args device_model_args_pv device_model_args_hvm device_model_user stubdomain_kernel stubdomain_ramdisk
            stubdomain_cmdline stubdomain_memory videoram stdvga vga vnc vnclisten vncdisplay vncunused vncpasswd sdl opengl serial
            spice spiceport spicetls_port spicehost spicedisable_ticketing spicepasswd spiceagent_mouse spicevdagent
            spice_clipboard_sharing spiceusbredirection spice_image_compression spice_streaming_video gfx_passthru gfx_passthru_kind
            usb usbversion usbdevice vendor_device soundhw altp2m altp2mhvm firmware smbios_firmware acpi_firmware mmio_hole
            rdm rdm_mem_boundary max_grant_version nomigrate tsc_mode_hvm timer_mode vmtrace_buf_kb ioreq_server_pages smm
            vpmu cpuid xend_suspend_evtchn_compat passthrough nographic keymap dm_restrict system_firmware msr_relaxed
            """);
        Add(Toolstack, """
            pool seclabel init_seclabel device_tree disable_migrate driver_domain suppress_spurious_page_faults cpus_soft vnuma
            claim_mode exec_ssidref max_maptrack_frames max_grant_frames max_event_channels event_channels on_soft_reset
            xen_platform localtime rtc_timeoffset tsc_mode uuid_file xspolicy
            """);
        Add(Unsupported, """
            vfb channel vtpm p9 pvcalls vdispl vsnd vkb usbctrl usbdev vscsi pci pci_msitranslate pci_power_mgmt pci_permissive pci_seize
            iomem ioports irqs dtdev e820_host virtio bootloader_args
            """);
        return reasons;

        void Add(string reason, string keys)
        {
            foreach (string key in keys.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries))
            {
                reasons[key] = reason;
            }
        }
    }
}
