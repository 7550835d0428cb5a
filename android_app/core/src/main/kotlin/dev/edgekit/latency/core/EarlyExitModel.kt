package dev.edgekit.latency.core

/** What a model with exits answers: the [logits] of the exit that was taken, and which one it was, from 1. */
class Answer(val logits: FloatArray, val exit: Int, val outputs: List<Tensor>)

/**
 * Runs the stages of a model one after the other until its policy lets the sample go; what is behind that exit is not called.
 *
 *     val plan = Plan.fromJson(Json.parse(File(folder, "plan.json").readText()))
 *     val variant = plan.variants.first()
 *     ExecuTorchEngine().open(File(folder, variant.model), variant).use { session ->
 *         val model = EarlyExitModel(session, variant.stages, variant.exitPolicy)
 *         val pixels = preprocessing.pixels(picture)
 *         val image = Tensor.of(preprocessing.normalised(pixels), listOf(1, 3, 224, 224))
 *         val answer = model.classify(mapOf("image" to image))
 *         println("class ${Confidence.named(answer.logits)} at exit ${answer.exit}")
 *     }
 *
 * Stages and policy are those of the artifact's manifest: `edgekit device run --dry-run` writes them as a plan. Not for several threads at once.
 *
 * @param policy null: a network without exits, of one stage.
 */
class EarlyExitModel(private val session: Session, private val stages: List<Stage>, private val policy: ExitPolicy?) {
    /** @param inputs by name, those of the first stage; later stages take what the ones before hand on, else again from here. */
    fun classify(inputs: Map<String, Tensor>): Answer {
        val micro = ArrayList<Long?>()
        val classes = ArrayList<Long?>()
        var known = inputs
        stages.forEachIndexed { number, stage ->
            val given = stage.inputs.map { known[it.name] ?: throw ContractException("tensor", "nothing is given for ${it.name}") }
            val outputs = session.run(stage, given)
            val byName = stage.outputs.map { it.name }.zip(outputs).toMap()
            known = inputs + byName
            val exit = number + 1
            if (policy == null || exit == stages.size || leaves(policy, exit, byName, micro, classes)) {
                return Answer((byName["logits"] ?: outputs.first()).floats(), exit, outputs)
            }
        }
        error("a plan has stages")
    }

    private fun leaves(policy: ExitPolicy, exit: Int, outputs: Map<String, Tensor>, micro: MutableList<Long?>, classes: MutableList<Long?>): Boolean {
        when (policy.reads) {
            "confidence" -> micro.add(ExitPolicy.micro(outputs.getValue("confidence").bytes.getFloat(0)))
            "logits" -> {
                val logits = outputs.getValue("logits").floats()
                if (policy.kind == "patience") {
                    classes.add(Confidence.named(logits))
                } else {
                    micro.add(ExitPolicy.micro(Confidence.of(policy.kind, logits, policy.temperaturesMicro?.get(exit - 1))))
                }
            }
        }
        return policy.leaves(exit, micro, classes)
    }
}
