// SPDX-License-Identifier: Apache-2.0
import Glibc
import Kernel

/// The binary. It holds no logic: a word picks a command, and a command puts the cloud together.
@main
enum Main {
    /// Not `async`: signals must be blocked before the runtime starts its threads, which inherit the mask.
    static func main() {
        Environment.widenPath()
        Signals.block()
        let words = CommandLine.arguments.dropFirst()
        Task.detached {
            do throws(Fault) {
                try await run(words.first ?? "help", Array(words.dropFirst()))
            } catch {
                Terminal.complain(error.message)
                Terminal.exit(error.status == 400 ? 2 : 1)
            }
            Terminal.exit(0)
        }
        while true { pause() }
    }

    private static func run(_ command: String, _ words: [String]) async throws(Fault) {
        switch command {
        case "up": try await Up(try Flags(words, known: Up.flags)).run()
        case "explain": try await ExplainCommand.run(words)
        case "capacity": try await CapacityCommand.run(words)
        case "audit": try await AuditCommand.run(words)
        case "doctor": try await DoctorCommand(try Flags(words, known: DoctorCommand.flags)).run()
        case "config": try ConfigCommand.run(words)
        case "identity": try await IdentityCommand.run(words)
        case "image": try await ImageCommand.run(words)
        case "secrets": try await SecretsCommand.run(words)
        case "placement": try await PlacementCommand.run(words)
        case "policy": try Reference.policy(words)
        case "api": try Reference.api(words)
        case "version", "--version": Terminal.say("apus \(Cloud.version)")
        case "help", "--help", "-h": Terminal.say(help)
        default: throw .badRequest("apus: there is no command '\(command)'; apus help lists them")
        }
    }

    private static let help = """
        apus: OpenStack as one program

          apus up --data DIR     a whole cloud on this machine, until it is told to stop
              --hypervisor libvirt|fake   real guests (the default; needs root) or made-up ones
              --hosts N                   how many made-up hosts
              --network ovn|fake          real networks (the default; needs root) or made-up ones
              --port-offset N             shifts every port, so that several clouds live side by side
              --listen ADDRESS            where the APIs answer (default 127.0.0.1)
              --config FILE               options (default DIR/apus.conf, if it is there); APUS_SECTION_OPTION in the
                                          environment wins over the file, flags win over both
          apus config sample     every option with its default and a sentence
          apus config check      whether --config FILE (or --data DIR's apus.conf) would be taken
          apus explain server ID why a server is where it is, or nowhere
          apus capacity          whether servers would fit: --flavor F --count N [--image I --az Z --hint NAME=VALUE]
          apus audit             whether servers, guests and allocations agree; --fix mends what does not
          apus doctor            what this machine lacks and how to mend it
          apus identity mapping_populate --data DIR --domain-name NAME    ids for everybody in a domain's directory
          apus identity mapping_purge --data DIR --all                    or of a --domain-name, --type, --local-id,
                                                                          --public-id: forgotten
          apus image metadefs load FOLDER    metadata definitions into the cloud that OS_* names (also unload, export)
          apus identity mapping_engine --rules FILE --input FILE [--prefix TEXT]
                                 what a federation mapping makes of an assertion
          apus placement db sync|version|stamp|online_data_migrations, apus placement upgrade check
                                 what placement-manage and placement-status do
          apus identity VERB     what keystone-manage does: bootstrap, keys, trust_flush, ... (alone, it lists them)
          apus secrets status|rotate|reseal|drop --data DIR    the keys that servers' secrets are sealed with
          apus policy sample     every rule with its default, in policy.yaml's form
          apus policy matrix     who may call what by default: each role in each scope (--service TYPE for one)
          apus api reference     every route, generated from the code
          apus version
        """
}
